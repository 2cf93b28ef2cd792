# SPDX-License-Identifier: MIT
"""In which ways two texts of a structure differ, strace's and the tape's, when all that both of them show agrees."""
import re

import strace_log


def plain(text):
    """A text without what is a matter of taste: blanks, and the comment behind an unknown constant."""
    return re.sub(r"\s*/\*.*?\*/|\s+", "", text)


def elements(text):
    """[(name or None, value)] of "{a=1, b}" or "[1, 2]"."""
    out = []
    for element in strace_log.split_args(text[1:-1]):
        name, equals, value = element.partition("=")
        named = equals and re.fullmatch(r"\w+", name)
        out.append((name, value) if named else (None, element))
    return out


def members_apart(want, have):
    """Of two structures: as ways_apart(). Each member of the one is looked for behind the last that was found."""
    ways, want, have = set(), elements(want), elements(have)
    abbreviated = have and plain(have[-1][1]) == "..."
    at = 0
    for name, value in have[:-1] if abbreviated else have:
        found = at
        while found < len(want) and (want[found][0] != name or name is None and found > at):
            found += 1
        if found == len(want):
            if name is None:
                return None
            ways.add("more")
            continue
        if found > at:
            if not abbreviated:
                return None
            ways.add("abbreviated")
        below = ways_apart(want[found][1], value)
        if below is None:
            return None
        ways |= below
        at = found + 1
    if at < len(want):
        if not abbreviated:
            return None
        ways.add("abbreviated")
    return ways


def ways_apart(want, have):
    """The ways in which the tape's text has less, or more, than strace's, as a set of names:

    nested       a pointer, where strace shows what it points to
    interface    an interface's number, where strace shows its name
    abbreviated  "..." in place of members
    more         members that strace does not show

    An empty set: they are equal. None: they contradict each other.
    """
    if plain(want) == plain(have):
        return set()
    if re.fullmatch(r"0x[0-9a-f]+", have) and want[:1] in ("[", "{", '"'):
        return {"nested"}
    if re.fullmatch(r'if_nametoindex\("[^"]*"\)', want) and re.fullmatch(r"\d+", have):
        return {"interface"}
    if "} => {" in want and "} => {" in have:
        before, after = zip(want.split(" => ", 1), have.split(" => ", 1))
        ways, names = ways_apart(*before), [name for name, _ in elements(after[1])]
        # Of two results behind two pointers the plan takes one.
        kept = ", ".join(f"{name}={value}" for name, value in elements(after[0]) if name in names)
        return ways | {"nested"} if ways is not None and plain(f"{{{kept}}}") == plain(after[1]) else None
    if want[:1] == have[:1] and want[:1] in ("[", "{") and want[-1:] == have[-1:] and want[-1:] in ("]", "}"):
        return members_apart(want, have)
    return None
