"""Words so common that running text is hardly without them: what tells sentences from lists of words.

English has the eight words of the Gopher paper (Rae et al. 2021, appendix A.1.1); the other languages have
the function words that take their place. Capitals count: texts are compared as they are written.
"""

STOP_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "ca": "de la el i que a en els les per amb és una un del va",
        "cs": "a se v na je že s z do o jako který byl byla to",
        "da": "og i at det er en til af på den for med som der var",
        "de": "der die und in den von zu das mit sich ist ein eine im des dem war auf",
        "en": "the be to of and that have with",
        "es": "de la que el en y a los se del las un por con una fue es su para",
        "fi": "ja on oli että se joka ei hän sekä kuin mutta ovat myös",
        "fr": "de la le et les des en un une du dans est que qui par au pour il à",
        "hu": "a az és egy hogy is volt nem meg de ez mint",
        "it": "di e il la che in un del per è una della con le dei da fu",
        "nl": "de en van het een in is op dat te met voor zijn was die",
        "no": "og i det er en til av på som for med at den var et",
        "pl": "i w na z do się jest to że oraz od był była przez",
        "pt": "de a o que e do da em um para com uma os no na é foi",
        "ro": "de și în la a cu din pe este o un care fost să",
        "ru": "и в на с по не что как из к был была это для",
        "sv": "och i att det en som är av på för med den till var ett",
        "tr": "ve bir bu ile olarak için da de olan en daha",
        "uk": "і в на з у до що та за як від був була це",
    }.items()
}
