from pathlib import Path
from genjax.data.dataset import Source
def folder(path: Path) -> Source: raise NotImplementedError
def npz(path: Path) -> Source: raise NotImplementedError
