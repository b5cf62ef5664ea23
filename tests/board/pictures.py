"""Draw the pictures of the README with a Chromium on the PATH: `python tests/board/pictures.py`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = {"wall": ("health_wall", "dark", 1088, 612), "wandb-board": ("wandb_runs", "light", 1040, 740)}


def main() -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if browser is None:
        sys.exit("there is no Chromium on the PATH")
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "board.html")
        subprocess.run([Path(sys.executable).with_name("metta-checks"), "board", "preview", "-o", page], check=True)
        for name, (board, theme, width, height) in PICTURES.items():
            target = DOCS / f"{name}.png"
            options = [
                "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-proxy-server",
                "--disable-lcd-text",
                f"--user-data-dir={folder}/profile", f"--window-size={width},{height}",
                f"--screenshot={target}",
            ]  # fmt: skip
            address = f"{page.as_uri()}?theme={theme}#{board}"
            subprocess.run([browser, *options, address], check=True, capture_output=True, timeout=180)
            sys.stdout.write(f"wrote {target}: {target.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main()
