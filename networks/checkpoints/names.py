"""Rules that turn the names of a public checkpoint into those of the networks here."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

# pattern of a whole public name; native name with the pattern's groups in braces
Rules = Sequence[tuple[str, str]]
# what the text of a group becomes, where it does not stay as it is; any other text is not of the layout
Words = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Layout:
    """How one code base names the tensors of its networks.

    Attributes:
        rename: Native name of each of the public names that the layout knows.
        classifier: Pattern of the whole names of tensors that come after the feature map.
        example: A name as it has them, for messages.
        training: Pattern of the whole names of what is not of the network.
    """

    rename: Callable[[Collection[str]], dict[str, str]]
    classifier: str
    example: str
    training: str = "(?!)"

    def is_classifier(self, name: str) -> bool:
        """Whether the tensor of this public name comes after the feature map."""
        return re.fullmatch(self.classifier, name) is not None

    def is_of_training(self, name: str) -> bool:
        """Whether the tensor of this public name is not of the network."""
        return re.fullmatch(self.training, name) is not None

    def unknown(self, names: Collection[str]) -> list[str]:
        """The names that this layout has no place for."""
        renamed = self.rename(names)
        return [n for n in names if n not in renamed and not self.is_classifier(n) and not self.is_of_training(n)]


def rename_all(names: Collection[str], rules: Rules, words: Words) -> dict[str, str]:
    """Translate names by the first rule that matches; names that no rule matches are left out.

    Args:
        names: Public names.
        rules: Patterns and native names.
        words: Translations of the groups of the patterns.

    Returns:
        Native name of each public name that is known.
    """
    compiled = [(re.compile(pattern), native) for pattern, native in rules]
    found = {}
    for name in names:
        for pattern, native in compiled:
            match = pattern.fullmatch(name)
            if match is None:
                continue
            groups = match.groupdict("")
            if all(text in words[group] for group, text in groups.items() if group in words):
                found[name] = native.format(**{g: words[g][t] if g in words else t for g, t in groups.items()})
            break
    return found


def with_leaf(rules: Rules) -> Rules:
    """Rules of modules as rules of their tensors, whose last part (`weight`, `running_var`) stays as it is."""
    return [(rf"{pattern}\.(?P<leaf>\w+)", f"{native}.{{leaf}}") for pattern, native in rules]
