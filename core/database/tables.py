"""All tables of the schema. A record registers its table when its module is imported: here all of them are.

Whatever must see every table (migrations, backup) takes `METADATA`. `Record.metadata` holds only those imported so far.
"""

from core.database import analyses, people, slides
from core.database.record import Record

RECORDS = (analyses, people, slides)
METADATA = Record.metadata
