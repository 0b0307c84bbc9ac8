"""A slide of each kind that carries a patient's name wherever the kind has room for one, labels and macros included.

What a file holds is PATIENT; what a person called the file is FILED_UNDER.
"""

import base64

import numpy as np
import tifffile
from dicom_files import dicom_series, jpeg_tiles
from many_files import jpeg, mrxs, vms, zipped
from slides import SCN, reduce, tissue, write_svs

PATIENT, FILED_UNDER = "ROE^JANE", "DOE^JOHN"
TEXT_TAGS = (269, 285, 315, 316, 33432, 65000)  # document, page, artist, host, copyright, one of a vendor's own
TAGS = [(number, f"{PATIENT} {number}") for number in TEXT_TAGS]
MPP, TILE = 0.5, 256
HEIGHT, WIDTH = 512, 768
PICTURE = np.full((60, 90, 3), 200, np.uint8)
INI = """
[PATIENT]
PATIENT_NAME = {0}
BARCODE = {0}
[{0}]
{0} = {0}
"""
PHILIPS = """<?xml version="1.0" encoding="UTF-8"?>
<DataObject ObjectType="DPUfsImport">
<Attribute Name="PIM_DP_UFS_BARCODE" Group="0x301D" Element="0x1002" PMSVR="IString">{barcode}</Attribute>
<Attribute Name="DICOM_DEVICE_SERIAL_NUMBER" Group="0x0018" Element="0x1000" PMSVR="IString">{name}</Attribute>
<Attribute Name="PIM_DP_SCANNED_IMAGES" Group="0x301D" Element="0x1003" PMSVR="IDataObjectArray"><Array>
<DataObject ObjectType="DPScannedImage">
<Attribute Name="PIM_DP_IMAGE_TYPE" Group="0x301D" Element="0x1004" PMSVR="IString">WSI</Attribute>
<Attribute Name="DICOM_DERIVATION_DESCRIPTION" Group="0x0008" Element="0x2111" PMSVR="IString">{name}</Attribute>
<Attribute Name="DICOM_PIXEL_SPACING" Group="0x0028" Element="0x0030" PMSVR="IDoubleArray">{spacing}</Attribute>
<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE" Group="0x1001" Element="0x8B01" PMSVR="IDataObjectArray">
<Array><DataObject ObjectType="PixelDataRepresentation">
<Attribute Name="DICOM_PIXEL_SPACING" Group="0x0028" Element="0x0030" PMSVR="IDoubleArray">{spacing}</Attribute>
</DataObject>
<DataObject ObjectType="PixelDataRepresentation">
<Attribute Name="DICOM_PIXEL_SPACING" Group="0x0028" Element="0x0030" PMSVR="IDoubleArray">{halved}</Attribute>
</DataObject>
</Array></Attribute>
</DataObject>
<DataObject ObjectType="DPScannedImage">
<Attribute Name="PIM_DP_IMAGE_TYPE" Group="0x301D" Element="0x1004" PMSVR="IString">LABELIMAGE</Attribute>
<Attribute Name="PIM_DP_IMAGE_DATA" Group="0x301D" Element="0x1005" PMSVR="IString">{label}</Attribute>
</DataObject>
</Array></Attribute>
</DataObject>"""


def named_svs(folder):
    """Aperio: in the description of every directory, in tags, as the name of a label and a macro."""
    fields = ("Patient", "User", "ScanScope ID", "Title", "Barcode", "Filename", "Slide")
    fields_text = "|".join(f"{field} = {PATIENT}" for field in fields)
    path = folder / f"{FILED_UNDER}.svs"
    write_svs(path, tissue(500, 600, [(200, 200, 101)]), MPP, PICTURE, PICTURE, fields_text, TAGS)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[1].tags["ImageDescription"].overwrite(f"Aperio Image Library v12 {PATIENT}")
    return path


def named_tiff(folder):
    """Any maker's: in its description and in tags."""
    tags = [(number, "s", 0, text, True) for number, text in TAGS]
    return _write(folder / f"{FILED_UNDER}.tiff", PATIENT, extratags=tags)


def named_scn(folder):
    """Leica: collection, barcode, device."""
    path, nm = folder / f"{FILED_UNDER}.scn", int(1000 * MPP)
    view = {"w": WIDTH, "h": HEIGHT, "vw": nm * WIDTH, "vh": nm * HEIGHT, "cw": 2 * nm * WIDTH, "ch": 2 * nm * HEIGHT}
    text = SCN.format(ox=0, oy=0, **view).replace("<barcode>", f"<barcode>{_in_base64(PATIENT.encode())}")
    for plain in ('name="c"', 'name="i"', 'version="1"'):
        text = text.replace(plain, f'{plain[:-2]}{PATIENT}"')
    return _write(path, text, bigtiff=True)


def named_philips(folder):
    """Philips: barcode in base64, derivation, a label within the description."""
    spacing, halved = (f'"{mpp / 1000}" "{mpp / 1000}"' for mpp in (MPP, 2 * MPP))
    label = _in_base64(jpeg(PICTURE, comment=PATIENT.encode()))
    fields_text = {"spacing": spacing, "halved": halved, "label": label}
    text = PHILIPS.format(name=PATIENT, barcode=_in_base64(PATIENT.encode()), **fields_text)
    return _write(folder / f"{FILED_UNDER}.tiff", text, software="Philips DP v1.0")


def named_mrxs(folder):
    """MIRAX, zipped: sections, keys and values of its ini, comments of its tiles, the names of its files."""
    files = mrxs(tissue(HEIGHT, WIDTH), MPP, name=PATIENT, comment=PATIENT.encode())
    files[f"{PATIENT}/Slidedat.ini"] += INI.format(PATIENT).encode()
    files = {f"{PATIENT}/{name}": content for name, content in files.items()}
    return _zip(folder, {f"__MACOSX/{PATIENT}": PATIENT.encode(), **files})


def named_vms(folder):
    """Hamamatsu, zipped: what its text says of the case, comments of its pictures."""
    files = vms(tissue(HEIGHT, WIDTH), MPP, comment=PATIENT.encode())
    files["case 7.vms"] += f"Reference={PATIENT}\nAuthCode={PATIENT}\nMacroImage=a macro.jpg\n".encode()
    files["case 7.vms"] += INI.format(PATIENT).encode()
    files["a macro.jpg"] = jpeg(PICTURE, comment=PATIENT.encode())
    files[f"{PATIENT}.vms"] = files.pop("case 7.vms")
    return _zip(folder, files)


def named_dicom(folder):
    """A DICOM series, zipped: patient, physicians, accession, container, specimen; a label of its own."""
    series = dicom_series({"VOLUME": tissue(HEIGHT, WIDTH), "LABEL": PICTURE, "OVERVIEW": PICTURE}, MPP, PATIENT)
    return _zip(folder, {f"{PATIENT}/{PATIENT}{number}.dcm": content for number, content in enumerate(series)})


KINDS = (named_svs, named_tiff, named_scn, named_philips, named_mrxs, named_vms, named_dicom)


def _write(path, description, bigtiff=False, **options):
    """A pyramid of two levels whose JPEG tiles have the name as their comment."""
    common = {"dtype": np.uint8, "tile": (TILE, TILE), "compression": "jpeg", "photometric": "ycbcr", "metadata": None}
    common |= {"subsampling": (1, 1), "resolutionunit": "CENTIMETER", "description": description}
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        for factor in (1, 2):
            pixels, dots_per_cm = reduce(tissue(HEIGHT, WIDTH), factor), 1e4 / (MPP * factor)
            own = {"shape": pixels.shape, "resolution": (dots_per_cm, dots_per_cm), "subfiletype": int(factor > 1)}
            tiff.write(iter(jpeg_tiles(pixels, TILE, TILE, comment=PATIENT.encode())), **common, **own, **options)
    return path


def _in_base64(content):
    return base64.b64encode(content).decode()


def _zip(folder, files):
    path = folder / f"{FILED_UNDER}.zip"
    path.write_bytes(zipped(files))
    return path
