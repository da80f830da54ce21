"""The names of everything kept in Redis.

    cognition:1:{D}:g       generation of a namespace
    cognition:1:{D}:e:K     entry
    cognition:1:{D}:l:K     lease: token of the holder
    cognition:1:{D}:o:K     outcome that the last holder of the lease left

D is a digest of tenant and namespace, so that a name tells neither; the braces make Redis Cluster keep all of one
namespace on one node. K is the exact key in hexadecimal. The number is the version of this layout: a change of names or
values raises it, and the older keys run out by themselves, for every key has a time to live.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

_VERSION = 1
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class NamespaceKeys:
    """The names of one namespace.

    Attributes:
        generation: Key of its generation.
        entry: What the name of an entry starts with.
        lease: What the name of a lease starts with.
        outcome: What the name of an outcome starts with.
    """

    generation: str
    entry: str
    lease: str
    outcome: str


@lru_cache(maxsize=1024)
def namespace_keys(tenant: str, namespace: str) -> NamespaceKeys:
    """Return the names of a tenant's namespace."""
    # The length keeps ("a", "bc") and ("ab", "c") apart. Lone surrogates must give a name, not an error.
    owner = tenant.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    digest.update(len(owner).to_bytes(8, "big") + owner + namespace.encode("utf-8", "surrogatepass"))
    prefix = f"cognition:{_VERSION}:{{{digest.hexdigest()}}}:"
    return NamespaceKeys(f"{prefix}g", f"{prefix}e:", f"{prefix}l:", f"{prefix}o:")
