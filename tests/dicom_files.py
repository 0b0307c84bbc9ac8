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
    study, instances = _uid(*pictures, name), []
    for number, (flavour, pixels) in enumerate(pictures.items(), 1):
        dataset = _instance(flavour, pixels, mpp, name)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.InstanceNumber = study, f"{study}.1", str(number)
        dataset.FrameOfReferenceUID, content = f"{study}.2", io.BytesIO()
        dataset.save_as(content, enforce_file_format=True)
        instances.append(content.getvalue())
    return instances


def jpeg_tiles(pixels, high, wide, **options):
    """JPEGs of high × wide px, row by row; a rest at the edge is padded. `options`: for Pillow."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % high), (0, -width % wide), (0, 0)), mode="edge")
    corners = [(y, x) for y in range(0, height, high) for x in range(0, width, wide)]
    return [jpeg(padded[y : y + high, x : x + wide].copy(), **{"subsampling": 0, **options}) for y, x in corners]


def _uid(*about):
    """A UID that is equal for equal names."""
    return str(generate_uid(entropy_srcs=list(about)))[:60]


def _instance(flavour, pixels, mpp, name):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.SOPClassUID, dataset.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, _uid(flavour, name)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.ImageType, dataset.Modality = ["ORIGINAL", "PRIMARY", flavour, "NONE"], "SM"
    _name(dataset, name)
    _picture(dataset, pixels, (TILE, TILE) if flavour == "VOLUME" else pixels.shape[:2], name)
    spacing = pydicom.Dataset()
    spacing.PixelSpacing, spacing.SliceThickness = [mpp / 1000, mpp / 1000], 0.001
    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence = [spacing]
    dataset.SharedFunctionalGroupsSequence = [shared]
    return dataset


def _name(dataset, name):
    """The patient, wherever a scanner or a laboratory writes it."""
    for keyword in NAMED:
        setattr(dataset, keyword, name)
    specimen = pydicom.Dataset()
    specimen.SpecimenIdentifier = specimen.SpecimenShortDescription = name
    specimen.SpecimenUID = _uid("specimen", name)
    dataset.SpecimenDescriptionSequence = [specimen]
    dataset.private_block(0x0009, name, create=True).add_new(0x01, "LO", name)


def _picture(dataset, pixels, tile, comment):
    height, width = pixels.shape[:2]
    frames = jpeg_tiles(pixels, *tile, subsampling="4:2:2", comment=comment.encode())
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "YBR_FULL_422", 0
    dataset.Rows, dataset.Columns = tile
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.NumberOfFrames, dataset.DimensionOrganizationType = len(frames), "TILED_FULL"
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = width, height
    dataset.PixelData = encapsulate(frames)
