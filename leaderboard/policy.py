"""How strict a content security policy is."""

_NEEDED = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
_ALLOWED = {"'self'", "'none'"}


def weak_points(policy: str) -> list[str]:
    """What a policy allows that a page of this site must not do, or fails to forbid."""
    directives: dict[str, list[str]] = {}
    for part in policy.split(";"):
        if words := part.split():
            directives.setdefault(words[0].lower(), words[1:])
    found = [f"{name} is not {value}" for name, value in _NEEDED.items() if directives.get(name) != [value]]
    for name, sources in directives.items():
        allowed = _ALLOWED | {"data:"} if name == "img-src" else _ALLOWED
        found += [f"{name} allows {source}" for source in sources if source not in allowed]
    return found
