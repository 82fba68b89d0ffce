# {{ top }} synthesised by itself, out of context: its clock. Made by fsa-convert; Vivado has not read it.
# {{ frequency }} MHz is what was asked for, not what is reached. Inside a design the clock is that of the design.
create_clock -name clock -period {{ period }} [get_ports clock]
