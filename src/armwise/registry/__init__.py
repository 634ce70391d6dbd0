"""The registry: snapshots of what was learned, immutable and checksummed."""

from armwise.registry.store import Manifest, Snapshot, SnapshotStore

__all__ = ["Manifest", "Snapshot", "SnapshotStore"]
