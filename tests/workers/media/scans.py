"""Pictures of pages, drawn with the font that Pillow contains, and PDFs of such pictures."""

import random
from io import BytesIO

from PIL import Image, ImageDraw, ImageFilter, ImageFont

DPI = 150
PAGE = (1240, 1754)  # A4
MARGIN, SIZE = 100, 26

LETTER = """Northern Branch, quarterly report
Sales were flat in the first quarter, while costs fell by 3.5 percent.
The office in Lyon opened in 2019 and employs forty-two people.
Seven of them work part time. The next review is due on 14 March 2027.
Please send all invoices to accounts@example.com before Friday."""


def draw(text, *, size=SIZE, at=(MARGIN, MARGIN), picture=None, font=None):
    """A page with these lines."""
    picture = picture or Image.new("L", PAGE, 255)
    pen, letters = ImageDraw.Draw(picture), font or ImageFont.load_default(size)
    for row, line in enumerate(text.split("\n")):
        pen.text((at[0], at[1] + row * size * 1.5), line, font=letters, fill=0)
    return picture


def noisy(picture):
    """The picture as a bad scanner gives it: blurred, grey and speckled."""
    blurred = picture.filter(ImageFilter.GaussianBlur(1.2))
    width, height = picture.size
    noise = Image.frombytes("L", picture.size, random.Random(1).randbytes(width * height))
    speckles = noise.point(lambda value: 255 if value > 100 else 90)
    return Image.blend(blurred, speckles, 0.25)


def encode(picture, form="PNG", **more):
    written = BytesIO()
    picture.save(written, form, **more)
    return written.getvalue()


def scan(*pictures, **more):
    """A PDF whose pages are these pictures, without any text."""
    first, *others = pictures
    return encode(
        first, "PDF", resolution=DPI, save_all=True, append_images=others, quality=75, **more
    )
