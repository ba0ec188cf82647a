"""What is deployed around the pipeline, as data: topics, ClickHouse migrations, locked jars, images.

Nothing here but files and the door to them.
"""

from pathlib import Path

HOME = Path(__file__).parent
