"""DICOM objects that are no slide, or that OpenSlide reads wrong or crashes on, are refused by name."""

import io

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import dicom_series
from hypothesis import given, settings
from hypothesis import strategies as st
from openslide import OpenSlideError
from pydicom.encaps import encapsulate
from slides import tissue

from core.errors import SlideRejected, SlideUnreadable, SlideUnsupported
from core.formats.dicom import NotDicom, read_header
from core.pixels.codestreams import j2k_transforms_colours, jpeg_states_rgb
from core.pixels.levels import Source
from core.reader.operations import OpenedSlide

TILE = 256
PIXELS = tissue(512, 512)
RAW, BASELINE, JPEG_LS, J2K = (f"1.2.840.10008.1.2{end}" for end in (".1", ".4.50", ".4.80", ".4.91"))
(SLIDE,) = dicom_series({"VOLUME": PIXELS}, 0.5)


def frames():
    return [np.ascontiguousarray(PIXELS[y : y + TILE, x : x + TILE]) for y in (0, TILE) for x in (0, TILE)]


def changed(change, content=SLIDE):
    dataset = pydicom.dcmread(io.BytesIO(content))
    change(dataset)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def setting(**fields):
    def change(dataset):
        for keyword, value in fields.items():
            setattr(dataset, keyword, value)

    return change


def stored(syntax, photometric, encode):
    """Pixels in another transfer syntax; `encode`: of a tile, None where frames are raw."""

    def change(dataset):
        dataset.file_meta.TransferSyntaxUID, dataset.PhotometricInterpretation = syntax, photometric
        tiles = [frame.tobytes() if encode is None else encode(frame) for frame in frames()]
        dataset.PixelData = b"".join(tiles) if encode is None else encapsulate(tiles)
        dataset["PixelData"].is_undefined_length = encode is not None

    return change


def one_sample(dataset):
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    del dataset.PlanarConfiguration
    dataset.PixelData = encapsulate([imagecodecs.jpeg8_encode(frame[..., 1].copy(), level=90) for frame in frames()])


def of_class(uid):
    def change(dataset):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid

    return change


def j2k(colours):
    return lambda tile: imagecodecs.jpeg2k_encode(tile, level=0, codecformat="j2k", mct=colours, reversible=False)


def jpeg(tile):
    return imagecodecs.jpeg8_encode(tile, level=95)


def jpeg_rgb(tile):
    return imagecodecs.jpeg8_encode(tile, level=95, colorspace="RGB", outcolorspace="RGB")


RIGHT = {
    "as made": setting(),
    "raw": stored(RAW, "RGB", None),
    **{
        f"JPEG 2000, {label}, {colours}": stored(J2K, label, j2k(colours))
        for label in ("RGB", "YBR_ICT")
        for colours in (True, False)
    },
    "JPEG of RGB": stored(BASELINE, "RGB", jpeg_rgb),
}
UNSUPPORTED = {
    "one sample": (one_sample, "SamplesPerPixel 1"),
    "16 bits": (setting(BitsAllocated=16, BitsStored=16, HighBit=15), "BitsAllocated 16"),
    "planes": (setting(PlanarConfiguration=1), "PlanarConfiguration 1"),
    "optical paths": (setting(NumberOfOpticalPaths=2), "NumberOfOpticalPaths 2"),
    "focal planes": (setting(TotalPixelMatrixFocalPlanes=3), "TotalPixelMatrixFocalPlanes 3"),
    "sparse without positions": (setting(DimensionOrganizationType="TILED_SPARSE"), "TILED_SPARSE"),
    "JPEG-LS": (stored(JPEG_LS, "RGB", imagecodecs.jpegls_encode), "compression JPEG-LS"),
    "RLE": (stored("1.2.840.10008.1.2.5", "RGB", lambda tile: tile.tobytes()), "compression RLE"),
    "annotations": (of_class("1.2.840.10008.5.1.4.1.1.91.1"), "annotations"),
    "CT": (of_class("1.2.840.10008.5.1.4.1.1.2"), "CT image"),
    "an unknown class": (of_class("1.2.3.4"), "1.2.3.4"),
    "a label alone": (setting(ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"]), "LABEL"),
    "YCbCr called RGB": (stored(BASELINE, "RGB", jpeg), "frames say YCbCr"),
    "RGB called YCbCr": (stored(BASELINE, "YBR_FULL_422", jpeg_rgb), "frames say RGB"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_supported_has_its_colours(name, tmp_path):
    (tmp_path / "slide.dcm").write_bytes(changed(RIGHT[name]))
    slide = OpenedSlide(tmp_path / "slide.dcm")
    assert slide.do_inspect()[0]["info"]["not_analysable"] is None
    assert np.abs(slide.read(Source(0, 1, 1.0, 1.0), 0, 0, 512, 512) - PIXELS.astype(int)).mean() < 8


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(name, tmp_path):
    change, word = UNSUPPORTED[name]
    (tmp_path / "slide.dcm").write_bytes(changed(change))
    with pytest.raises(SlideUnsupported) as refused:
        OpenedSlide(tmp_path / "slide.dcm").do_inspect()
    assert refused.value.code == "unsupported"
    assert word in refused.value.detail


def test_one_level_several_times_is_refused(tmp_path):
    """OpenSlide calls it an unexpected image."""
    for number in range(3):
        uid = f"1.2.3.{number}"
        again = changed(setting(SOPInstanceUID=uid))
        (tmp_path / f"{number}.dcm").write_bytes(again)
    with pytest.raises(SlideUnsupported, match="3 pictures of 512×512 in one series"):
        OpenedSlide(tmp_path / "0.dcm").do_inspect()


def test_a_part_of_a_concatenation_is_incomplete(tmp_path):
    change = setting(ConcatenationUID="1.2.3", InConcatenationNumber=1, InConcatenationTotalNumber=2,
                     ConcatenationFrameOffsetNumber=0, SOPInstanceUIDOfConcatenationSource="1.2.4")  # fmt: skip
    (tmp_path / "slide.dcm").write_bytes(changed(change))
    with pytest.raises(SlideUnreadable, match="incomplete"):
        OpenedSlide(tmp_path / "slide.dcm")


@settings(max_examples=150, deadline=None)
@given(place=st.integers(132, 3000), value=st.binary(min_size=1, max_size=6))
def test_damaged_heads_are_read_or_refused(place, value):
    damaged = SLIDE[:place] + value + SLIDE[place + len(value) :]
    try:
        read_header(io.BytesIO(damaged[:6000]))
    except NotDicom:
        return


@pytest.mark.parametrize("size", range(132, 1500, 40))
def test_cut_files_are_rejected(size, tmp_path):
    (tmp_path / "slide.dcm").write_bytes(SLIDE[:size])
    with pytest.raises((SlideRejected, OpenSlideError)):
        OpenedSlide(tmp_path / "slide.dcm").do_inspect()


@pytest.mark.parametrize(("syntax", "little"), [("1.2.840.10008.1.2", True), ("1.2.840.10008.1.2.2", False)])
def test_implicit_and_big_endian_heads_are_read(syntax, little):
    dataset = pydicom.dcmread(io.BytesIO(changed(stored(RAW, "RGB", None))))
    series, dataset.file_meta.TransferSyntaxUID, out = dataset.SeriesInstanceUID, syntax, io.BytesIO()
    dataset["PixelData"].VR = "OW"
    plain = pydicom.Dataset(dataset)  # of no encoding of its own
    plain.file_meta = dataset.file_meta
    pydicom.dcmwrite(out, plain, little_endian=little, implicit_vr=little, enforce_file_format=True)
    head = read_header(io.BytesIO(out.getvalue()))
    assert (head.syntax, head.series, head.samples, head.columns) == (syntax, series, 3, 512)


def test_streams_state_their_colours():
    assert jpeg_states_rgb(jpeg(frames()[0])) is False
    assert jpeg_states_rgb(jpeg_rgb(frames()[0])) is True
    assert jpeg_states_rgb(b"no JPEG") is None
    assert [j2k_transforms_colours(j2k(colours)(frames()[0])) for colours in (True, False)] == [True, False]
