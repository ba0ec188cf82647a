"""Worker of the crash test: brokers, prefix, directory. Both steps in one loop, each made anew after a failure."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from pipeline.transport import StepFailed
from tests.transport.counting import run_counting, sum_step, total_step


async def main(brokers: str, prefix: str, data_dir: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("takes orders", flush=True)

    async def keep(make: object) -> None:
        while not stop.is_set():
            try:
                await run_counting(make, brokers, prefix, data_dir, stop)  # type: ignore[arg-type]
            except StepFailed as error:
                logging.warning("made anew: %s", error)
                await asyncio.sleep(0.2)

    await asyncio.gather(keep(sum_step), keep(total_step))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
