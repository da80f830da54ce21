"""The rules of the guard, one family a module; each says in plain words what differs, or nothing."""
