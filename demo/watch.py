"""Follows one ModelDeployment, for the live view and the report."""

import asyncio
import codecs
import json
import time
from pathlib import Path

from demo.story import Story


async def follow(kubectl: Path, kubeconfig: Path, namespace: str, name: str, story: Story) -> None:
    """Feeds `story` from a watch until cancelled; a watch that ends is begun again."""
    decoder = json.JSONDecoder()
    while True:
        process = await asyncio.create_subprocess_exec(
            *(str(kubectl), f"--kubeconfig={kubeconfig}", "-n", namespace),
            *("get", "modeldeployment", name, "--watch", "-o", "json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            process_group=0,
        )
        try:
            assert process.stdout is not None
            # A chunk may end within a character.
            characters = codecs.getincrementaldecoder("utf-8")()
            text = ""
            while chunk := await process.stdout.read(65536):
                text = (text + characters.decode(chunk)).lstrip()
                while text:
                    try:
                        body, end = decoder.raw_decode(text)
                    except json.JSONDecodeError:
                        break
                    story.take(body, time.time())
                    text = text[end:].lstrip()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        await asyncio.sleep(0.5)
