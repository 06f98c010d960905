"""Real people's public data shipped for the demo, cut as each person would hold it.

See ORIGIN.md for where the files come from, their licence and what is to be known of them.
"""

from marketplace.client.demo_data.cut import expression, gene, people, record, vcf, write
from marketplace.client.demo_data.files import Gene, Person

__all__ = ["Gene", "Person", "expression", "gene", "people", "record", "vcf", "write"]
