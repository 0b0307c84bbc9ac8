"""TIAToolbox's own tile server, as its manual starts it. tiatoolbox_server.py SLIDE PORT"""

import logging
import sys

from tiatoolbox.visualization.tileserver import TileServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a log line a tile is not part of the work
TileServer("bench", [sys.argv[1]]).run(host="127.0.0.1", port=int(sys.argv[2]), threaded=True)
