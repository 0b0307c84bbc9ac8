"""Which files of a zip belong to its slide: what is left out is named, and nothing is dropped in silence."""

import io
import json
import zipfile

import pydicom
import pytest
from dicom_files import dicom_series
from hypothesis import given, settings
from hypothesis import strategies as st
from many_files import mrxs, vms, zipped
from pydicom.uid import ExplicitVRLittleEndian
from slides import tissue, write_pyramid

from core.errors import ArchiveRefused
from core.slides import archives

PIXELS = tissue(256, 256)
SIDES = ["README", "readme.txt", "study.xml", "sums.md5", "SHA256SUMS", "thumb.jpg", "preview.PNG", "notes.docx",
         "a.json", ".hidden", ".DS_Store", "Thumbs.db", "DICOMDIR"]  # fmt: skip


def series(name, flavours=("VOLUME",), pixels=PIXELS):
    instances = dicom_series(dict.fromkeys(flavours, pixels), 0.5, name)
    return {f"{name} {flavour}.dcm": content for flavour, content in zip(flavours, instances, strict=True)}


def changed(content, **fields):
    dataset = pydicom.dcmread(io.BytesIO(content))
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def annotations():
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.91.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.9"
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def unpacked(content, folder):
    """Returns the names of the slide's files, and those that were left out."""
    (folder / "slide.zip").write_bytes(content)
    path = archives.unpack(folder / "slide.zip", folder, lambda: None)
    return sorted(part.name for part in path.parent.iterdir()), archives.left_out(folder)


def refusal(content, folder):
    with pytest.raises(ArchiveRefused) as refused:
        unpacked(content, folder)
    assert refused.value.detail
    assert refused.value.action
    return refused.value


@pytest.mark.parametrize("make", ["dicom", "mrxs", "vms", "tiff"])
@pytest.mark.parametrize("above", ["", "case 7/"])
def test_side_files_are_left_out_and_named(make, above, tmp_path):
    slides = {"dicom": lambda: series("a"), "mrxs": lambda: mrxs(PIXELS, 0.5), "vms": lambda: vms(PIXELS, 0.5),
              "tiff": lambda: {"a.tiff": write_pyramid(tmp_path / "a.tiff", PIXELS, 0.5).read_bytes()}}  # fmt: skip
    own = slides[make]()
    sides = [name for name in SIDES if not (make == "vms" and name == "thumb.jpg")]
    files, left_out = unpacked(
        zipped({**own, **{above + name: b"x" for name in sides}, "__MACOSX/._a": b"x"}), tmp_path
    )
    assert len(files) == len([name for name in own if "/" not in name or make in ("vms", "dicom")]) + (make == "mrxs")
    assert sorted(left_out) == sorted([f"“{name}”" for name in sides] + ["“__MACOSX”"])


def test_objects_and_copies_are_left_out_and_named(tmp_path):
    own = series("a", ("VOLUME", "LABEL"))
    files, left_out = unpacked(zipped({**own, "ann.dcm": annotations(), "again.dcm": own["a VOLUME.dcm"]}), tmp_path)
    assert files == ["part0001.dcm", "slide.dcm"]
    assert left_out == ["“ann.dcm” (annotations)", "“again.dcm” (a copy of “a VOLUME.dcm”)"]


def test_two_series_are_two_slides(tmp_path):
    refused = refusal(zipped({**series("first"), **series("second")}), tmp_path)
    assert "2 slides" in refused.detail
    assert "first VOLUME.dcm" in refused.detail
    assert "second VOLUME.dcm" in refused.detail


def test_two_studies_with_one_series_uid_are_two_slides(tmp_path):
    ((name, content),) = series("first").items()
    other = changed(content, StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.4")
    assert "2 slides" in refusal(zipped({name: content, "other.dcm": other}), tmp_path).detail


def test_a_label_of_another_series_is_left_out_and_named(tmp_path):
    files, left_out = unpacked(zipped({**series("a"), **series("b", ("LABEL",))}), tmp_path)
    assert files == ["slide.dcm"]
    assert left_out == ["“b LABEL.dcm” (of another series)"]


def test_one_instance_uid_with_other_bytes_is_refused(tmp_path):
    ((name, content),) = series("a").items()
    refused = refusal(zipped({name: content, "other.dcm": changed(content, InstanceNumber="77")}), tmp_path)
    assert "a VOLUME.dcm" in refused.detail
    assert "other.dcm" in refused.detail


@pytest.mark.parametrize("other", ["b.svs", "setup.exe", "inner.zip", "b.tif", "no suffix"])
def test_what_may_be_another_slide_is_refused_by_name(other, tmp_path):
    refused = refusal(zipped({**series("a"), other: b"II*\0" * 50}), tmp_path)
    assert other in refused.detail
    assert other in refused.parameters["file"]


def test_a_damaged_dicom_file_is_refused_by_name(tmp_path):
    ((_, content),) = series("a").items()
    assert "cut.dcm" in refusal(zipped({**series("a"), "cut.dcm": content[:300]}), tmp_path).detail


def test_a_zip_without_a_slide_names_what_it_has(tmp_path):
    refused = refusal(zipped({"ann.dcm": annotations()}), tmp_path)
    assert (refused.code, "“ann.dcm” (annotations)" in refused.detail) == ("zip-no-slide", True)


def test_a_zip_in_a_zip_is_refused_by_name(tmp_path):
    refused = refusal(zipped({"inner.zip": zipped(series("a"))}, zipfile.ZIP_STORED), tmp_path)
    assert (refused.code, "inner.zip" in refused.detail) == ("zip-nested", True)


@pytest.mark.parametrize("make", [mrxs, vms, lambda *_: series("a")])
def test_backslashes_are_separators(make, tmp_path):
    """And a folder's own entry, which ends with one."""
    own = {f"case 7/{name}": content for name, content in make(PIXELS, 0.5).items()}
    entries = []
    for name, content in own.items():
        entry = zipfile.ZipInfo("x")
        entry.filename = entry.orig_filename = name.replace("/", "\\")
        entries.append((entry, content))
    folder = zipfile.ZipInfo("x")
    folder.filename = folder.orig_filename = "case 7\\"
    with_slashes, with_backslashes = tmp_path / "a", tmp_path / "b"
    with_slashes.mkdir()
    with_backslashes.mkdir()
    assert unpacked(zipped([(folder, b""), *entries]), with_backslashes) == unpacked(zipped(own), with_slashes)


@pytest.mark.parametrize("flag", [0, 0x800])
def test_names_are_read_as_utf8_with_and_without_the_flag(flag, tmp_path):
    content = bytearray(zipped({**series("a"), "übersicht.xml": b"x"}, zipfile.ZIP_STORED))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + place + 1] = flag >> 8
            at = content.find(signature, at + 4)
    assert unpacked(bytes(content), tmp_path)[1] == ["“übersicht.xml”"]


def test_encrypted_and_unsafe_files_are_named(tmp_path):
    content = bytearray(zipped({"secret.svs": b"x" * 99}, zipfile.ZIP_STORED))
    content[content.find(b"PK\1\2") + 8] |= 1
    refused = refusal(bytes(content), tmp_path)
    assert (refused.code, "secret.svs" in refused.detail) == ("zip-encrypted", True)


def test_many_names_are_counted(tmp_path):
    _, left_out = unpacked(zipped({**series("a"), **{f"{n}.xml": b"x" for n in range(70)}}), tmp_path)
    assert (len(left_out), left_out[-1]) == (51, "and 20 more")
    assert json.loads((tmp_path / "left-out.json").read_text()) == left_out


NAMES = st.text("ab/\\.é\u202e\n", min_size=1, max_size=8).map(lambda name: name.replace("..", "a") + ".xml")


@settings(max_examples=40, deadline=None)
@given(names=st.lists(NAMES, max_size=6, unique=True))
def test_every_file_is_used_or_named_or_refused(names, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zip")
    own = series("a")
    try:
        files, left_out = unpacked(zipped({**own, **dict.fromkeys(names, b"x")}), folder)
    except ArchiveRefused as refused:
        assert refused.detail
    else:
        assert len(files) + len(left_out) == len(own) + len(names)
        assert all(name.isprintable() for name in left_out)
