"""Runs a command in a terminal and writes what it printed there, escape sequences among it, to stdout.

python3 in-terminal.py COLUMNS COMMAND [ARGUMENT...]

Ends as the command does.
"""

import fcntl
import os
import pty
import struct
import sys
import termios

columns, command = int(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    # The child waits for its terminal's size.
    sys.stdin.readline()
    os.execvp(command[0], command)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
# Nothing that is typed shall appear.
settings = termios.tcgetattr(terminal)
settings[3] &= ~termios.ECHO
termios.tcsetattr(terminal, termios.TCSANOW, settings)
os.write(terminal, b"\n")
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:  # Linux says so at the end.
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
