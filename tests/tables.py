"""Every table of the database: the records' metadata has those whose modules are imported, and these are all."""

from core.database import analyses, people, slides
from core.database.record import Record

MODULES = (analyses, people, slides)
TABLES = Record.metadata.sorted_tables
