"""What the page of tests/shell_page.py shows and its tests expect."""

# A label as a file could have it: HTML, mathematics, Markdown, Streamlit's own directives.
ODD = r"""<script>alert(1)</script> $x$ *a* _b_ :red[c] # 1. [l](m) \n `q` &amp; ~~s~~ :material/home: <b>d</b>"""

# The gray values of 50 tiles, each far from its neighbours, and the width of a strip of the opposite gray at the left edge:
# what leaks in from the side or is shifted would be seen.
GRAYS = [(i * 7 % 25) * 4 + (150 if i % 2 else 0) for i in range(50)]
SIDE, STRIP = 70, 7
