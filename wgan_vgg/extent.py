"""What a network needs around a pixel; known without importing Keras."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Extent:
    """What a generator needs around a pixel and of an image, and the memory it takes.

    Attributes:
      reach: how many pixels away, in rows and in columns, an input still matters to an output: the receptive radius.
      multiple: the network works on images whose sides are multiples of this; others are made larger, and cut back.
        Parts of an image give the same as the whole if they begin at multiples of it, too.
      smallest_side: of the images that it takes.
      maps: values per pixel that are held at once, at most.
    """

    reach: int
    maps: int
    multiple: int = 1
    smallest_side: int = 1

    @property
    def overlap(self) -> int:
        """By how many pixels parts of an image must overlap to give the same as the whole."""
        return self.aligned(self.reach)

    def aligned(self, pixels: int) -> int:
        """The least multiple of `multiple` that is `pixels` or more."""
        return -(-pixels // self.multiple) * self.multiple
