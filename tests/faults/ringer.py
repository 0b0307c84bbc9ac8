"""python -m faults.ringer: rings the doorbell forty times."""

from core.work import doorbell

doorbell.ring(doorbell.doorbell(), 40)
