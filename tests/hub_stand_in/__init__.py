"""A local stand-in for the Hugging Face Hub: as much of its HTTP API as huggingface_hub calls to publish.

Repos with commits, branches and pull requests; large-file storage; tokens; the error codes and headers of the Hub. A
commit is applied whole or not at all. Faults can be set: an error, a connection that breaks, or a callback.
"""

from .api import Hub
from .repos import Blob, Repo
from .server import Fault, StandIn, interrupted, reachable, running

__all__ = ["Blob", "Fault", "Hub", "Repo", "StandIn", "interrupted", "reachable", "running"]
