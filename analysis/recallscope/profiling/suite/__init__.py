"""Everything measured on one device: correctness, then time, then counters, as rows that survive a kill and go on."""
