"""python -m faults.ringer: ring the doorbell forty times."""

from core import broker

broker.ring(broker.doorbell(), 40)
