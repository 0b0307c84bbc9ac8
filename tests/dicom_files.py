"""DICOM whole-slide images made on the spot: of one level, JPEG baseline, TILED_FULL (PS3.3, A.32.8)."""

import io

import numpy as np
import pydicom
from many_files import jpeg
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage, generate_uid

TILE = 256
NAMED = (
    "PatientName", "PatientID", "OtherPatientNames", "PatientComments", "ReferringPhysicianName", "OperatorsName",
    "AccessionNumber", "StudyID", "StudyDescription", "SeriesDescription", "ImageComments", "InstitutionName",
    "DeviceSerialNumber", "ManufacturerModelName", "ContainerIdentifier", "BarcodeValue", "LabelText",
)  # fmt: skip


def dicom_series(pictures, mpp, name="Nobody"):
    """The instances of one series, as bytes; `pictures`: by flavour (VOLUME, LABEL, OVERVIEW).

    `name`: in every text that a scanner or a laboratory writes.
    """
    study, made = _uid(*pictures, name), []
    for number, (flavour, pixels) in enumerate(pictures.items(), 1):
        found = _instance(flavour, pixels, mpp, name)
        found.StudyInstanceUID, found.SeriesInstanceUID, found.InstanceNumber = study, f"{study}.1", str(number)
        found.FrameOfReferenceUID, content = f"{study}.2", io.BytesIO()
        found.save_as(content, enforce_file_format=True)
        made.append(content.getvalue())
    return made


def jpeg_tiles(pixels, high, wide, **options):
    """JPEGs of high × wide px, row by row; a rest at the edge is padded. `options`: for Pillow."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % high), (0, -width % wide), (0, 0)), mode="edge")
    corners = [(y, x) for y in range(0, height, high) for x in range(0, width, wide)]
    return [jpeg(padded[y : y + high, x : x + wide].copy(), **{"subsampling": 0, **options}) for y, x in corners]


def _uid(*about):
    """The same for the same things."""
    return str(generate_uid(entropy_srcs=list(about)))[:60]


def _instance(flavour, pixels, mpp, name):
    found = pydicom.Dataset()
    found.file_meta = pydicom.dataset.FileMetaDataset()
    found.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    found.SOPClassUID, found.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, _uid(flavour, name)
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    found.ImageType, found.Modality = ["ORIGINAL", "PRIMARY", flavour, "NONE"], "SM"
    _name(found, name)
    _picture(found, pixels, (TILE, TILE) if flavour == "VOLUME" else pixels.shape[:2], name)
    spacing = pydicom.Dataset()
    spacing.PixelSpacing, spacing.SliceThickness = [mpp / 1000, mpp / 1000], 0.001
    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence = [spacing]
    found.SharedFunctionalGroupsSequence = [shared]
    return found


def _name(found, name):
    """The patient, wherever a scanner or a laboratory writes it."""
    for keyword in NAMED:
        setattr(found, keyword, name)
    specimen = pydicom.Dataset()
    specimen.SpecimenIdentifier = specimen.SpecimenShortDescription = name
    specimen.SpecimenUID = _uid("specimen", name)
    found.SpecimenDescriptionSequence = [specimen]
    found.private_block(0x0009, name, create=True).add_new(0x01, "LO", name)


def _picture(found, pixels, tile, comment):
    height, width = pixels.shape[:2]
    frames = jpeg_tiles(pixels, *tile, subsampling="4:2:2", comment=comment.encode())
    found.SamplesPerPixel, found.PhotometricInterpretation, found.PlanarConfiguration = 3, "YBR_FULL_422", 0
    found.Rows, found.Columns = tile
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 8, 8, 7, 0
    found.NumberOfFrames, found.DimensionOrganizationType = len(frames), "TILED_FULL"
    found.TotalPixelMatrixColumns, found.TotalPixelMatrixRows = width, height
    found.PixelData = encapsulate(frames)
