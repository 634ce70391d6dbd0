"""The registry: snapshots of what was learned, immutable and checksummed, and the history of which serves."""

from armwise.registry.classifier import KeptTasks, save_tasks
from armwise.registry.history import History
from armwise.registry.models import Registry, Standing, registry_directory, standing, trained
from armwise.registry.store import Manifest, Snapshot, SnapshotStore
from armwise.registry.watch import Watch

__all__ = [
    "History",
    "KeptTasks",
    "Manifest",
    "Registry",
    "Snapshot",
    "SnapshotStore",
    "Standing",
    "Watch",
    "registry_directory",
    "save_tasks",
    "standing",
    "trained",
]
