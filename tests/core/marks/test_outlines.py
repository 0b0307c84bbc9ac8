"""Outlines that would fill the memory are refused while they are parsed, in every encoding."""

import json
import subprocess
import sys

import pytest

from core.errors import Invalid
from core.marks.outlines import MOST_BYTES, parse

ASAP = """<?xml version="1.0" encoding="{}"?><ASAP_Annotations><Annotations>
<Annotation Name="älter" PartOfGroup="Tumor"><Coordinates><Coordinate Order="0" X="0" Y="0"/>
<Coordinate Order="1" X="9" Y="0"/><Coordinate Order="2" X="9" Y="9"/></Coordinates></Annotation>
</Annotations></ASAP_Annotations>"""
ENTITIES = '<?xml version="1.0" encoding="{}"?><!DOCTYPE a [<!ENTITY x "{}">]><a>&x;&x;&x;</a>'
PARAMETER = '<?xml version="1.0" encoding="{}"?><!DOCTYPE a [<!ENTITY % x "<!ENTITY y \'z\'>"> %x;]><a>&y;</a>'
EXTERNAL = '<?xml version="1.0" encoding="{}"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "iso-8859-1", "windows-1252"])
def test_a_document_type_is_refused_in_every_encoding(encoding):
    for text in (ENTITIES, PARAMETER, EXTERNAL):
        content = text.format(encoding.removesuffix("-le"), "y" * 1000).encode(encoding)
        with pytest.raises(Invalid, match="document type"):
            parse(content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "iso-8859-1", "windows-1252"])
def test_annotations_are_read_in_every_encoding(encoding):
    (polygon,) = parse(ASAP.format(encoding.removesuffix("-le")).encode(encoding)).polygons
    assert (polygon.name, len(polygon.vertices)) == ("älter", 3)


MEBI = 1 << 20
HOSTILE = {
    "entities": lambda size: ENTITIES.format("utf-16", "y" * 100_000).replace("&x;", "&x;" * 1000).encode("utf-16-le"),
    "deep": lambda size: b"<a>" * (size // 3),
    "names": lambda size: b"<a>" + b"".join(b"<a%d/>" % i for i in range(size // 10)) + b"</a>",
    "attributes": lambda size: b"<a " + b"".join(b"a%d='' " % i for i in range(size // 12)) + b"/>",
    "one tag": lambda size: b"<a b='" + b"x" * size + b"'/>",
    "points": lambda size: b"<a><Annotation>" + b"<Coordinate/>" * (size // 13) + b"</Annotation></a>",
    "outlines": lambda size: b"<a>" + b"<Annotation/>" * (size // 13) + b"</a>",
    "points of ASAP": lambda size: (
        b"<ASAP_Annotations><Annotations><Annotation>" + b"<Coordinate/>" * (size // 13) + b"</Annotation>"
    ),
    "outlines of ASAP": lambda size: b"<ASAP_Annotations><Annotations>" + b"<Annotation/>" * (size // 13),
    "groups of ASAP": lambda size: (
        b"<ASAP_Annotations>" + b"".join(b"<Group Name='%d'/>" % i for i in range(size // 25))
    ),
    "deep in ASAP": lambda size: b"<ASAP_Annotations>" + b"<a>" * (size // 3),
    "points of ImageScope": lambda size: b"<Annotations><Region>" + b"<Vertex/>" * (size // 9) + b"</Region>",
    "regions of ImageScope": lambda size: b"<Annotations>" + b"<Region/>" * (size // 9),
    "ring": lambda size: b'{"type": "Polygon", "coordinates": [[' + b"[1,1]," * (size // 6) + b"[1,1]]]}",
    "features": lambda size: b"[" + b'{"type":"Feature"},' * (size // 19) + b'{"type":"Feature"}]',
    "collections": lambda size: b'{"type":"GeometryCollection","geometries":[' * (size // 43),
    "lists": lambda size: b'{"positive": [' + b"[]," * (size // 3) + b"[]]}",
    "objects": lambda size: b'{"positive": [' + b"{}," * (size // 3) + b"{}]}",
    "unknown encoding": lambda size: b'<?xml version="1.0" encoding="utf-7"?><a/>',
    "no encoding": lambda size: b'<?xml version="1.0" encoding="x-none"?><a/>',
}
MEASURED = """
import resource, sys
sys.path[:0] = [{root!r}, {tests!r}]
from core.errors import Invalid
from core.marks.outlines import parse
from test_outlines import HOSTILE
content = HOSTILE[{name!r}]({size})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    parse(content)
    print("read")
except Invalid as error:
    print("refused", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_outlines_that_would_fill_the_memory_are_refused_in_bounded_memory(name, repository):
    """Measures a separate process, in KiB beyond the body itself."""
    size = 16 * MEBI
    assert size < MOST_BYTES
    script = MEASURED.format(root=str(repository), tests=str(repository / "tests/core/marks"), name=name, size=size)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    outcome, used = done.stdout.split()
    assert outcome == "refused", done.stderr
    assert int(used) < 160 * 1024, "ten times the body at most"


def test_numbers_of_json_are_read_in_full():
    vertices = [[0.123456789, 1], [100, 2.5e1], [70, 90]]
    content = {"positive": [{"name": "one", "vertices": vertices}], "negative": []}
    (polygon,) = parse(json.dumps(content).encode()).polygons
    assert polygon.vertices.tolist() == vertices
