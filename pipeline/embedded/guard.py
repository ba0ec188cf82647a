"""Run a command that knows nothing of lifelines, and end it with its lifeline: `guard.py FD LOG COMMAND...`.

Run by path, standard library only. Its first line on stdout is the command's process id. Law: the command
ends before the guard does, or with it.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

PATIENCE_S = 20.0  # Kafka writes its snapshots and closes its logs within 2 s; then it is killed
PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> None:
    """Have the kernel kill this process when the guard itself is killed. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end(command: "subprocess.Popen[bytes]", at_once: bool) -> None:
    """Stop the command in order, or kill it."""
    if not at_once:
        command.terminate()
        try:
            command.wait(PATIENCE_S)
            return
        except subprocess.TimeoutExpired:
            pass
    command.kill()


def follow(lifeline: int, command: "subprocess.Popen[bytes]") -> None:
    """Wait for EOF (stop in order) or a byte (kill) on the lifeline."""
    end(command, at_once=os.read(lifeline, 1) != b"")


def main(arguments: list[str]) -> int:
    """Start the command and wait for whichever ends first; return the command's exit code."""
    lifeline, log = int(arguments[0]), arguments[1]
    with open(log, "ab") as out:
        command = subprocess.Popen(
            arguments[2:],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no thread has been started yet
        )
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    signal.signal(signal.SIGINT, lambda *_: command.terminate())
    sys.stdout.write(f"{command.pid}\n")
    sys.stdout.flush()
    threading.Thread(target=follow, args=(lifeline, command), daemon=True).start()
    return command.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
