"""What the rules of the splitter do not tell: contractions, abbreviations, units, French words with a hyphen.

Facts of spaCy 3.8 (`lang/{en,es,fr}/tokenizer_exceptions.py`, `lang/char_classes.py`), as far as running text
has them.
"""

from collections.abc import Iterable

Parts = tuple[str, ...]

# The rules of each language, and lists of endings, as numbers for the compiled splitter.
COMMON, ENGLISH, SPANISH, FRENCH, UNITS, FRENCH_ENDINGS, FRENCH_BEGINNINGS, FRENCH_LINKS = range(8)

CURRENCIES = "$£€¥฿₽﷼" + "".join(map(chr, range(0x20A0, 0x20C0)))

_UNIT_NAMES = """
    km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h
    kmh mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K %
"""
# French words with a hyphen: what is parted from them, and what keeps them whole.
_FRENCH_HYPHEN_ENDINGS = "ce clés elle en il ils je là moi nous on t vous"
_FRENCH_HYPHEN_LINKS = "les lès la en de des du sur sous au aux à et près saint"
_FRENCH_HYPHEN_BEGINNINGS = """
    abat aéro aero afro agro after aigue aigues américano anglo anti après arabo arc arcs archi arrière
    arrières audio auto avant avion banc bas basse basses bateau bateaux beau bec belle belles best bien
    bio blanc bois boîte bonne bouc bourg bêta cache cap casse castel champ chapelle chasse château
    chaud chaude chauffe chou chromo clair claire co code compte contre cordon coupe court courte couvre
    crise croche cross cyber côte demi des dix dé dés dys eco entre est etats ethno ex extra extrême
    faux fil fontaine fort franco gallo garde gardes gastro grand grande grands gratte gros gréco géo
    haut haute hautes hauts homme hommes hors hyper indo infra inter intra islamo italo jean labio
    latino live lot louis macro mal marie micro mi mini mono mont monts mot mots moyen multi mé méca
    médico médio méta neuro neuville noix non nord notre néo ouest outre ouvre pare passe perce petit
    petite petits pharmaco photo pied pieds pierre pique poisson poissons ponce pont port porte post
    pousse primo pro protège proto pré pseudo péri puy quasi quatre radio ré rétro requin saint sainte
    saintes saints san sans semi serre sino socio social sociale soixante sous sub sud super sur taille
    tire thermo tiers tourne tout toute train trans trente trois tri trou télé ultra val vaux vice vidéo
    vie vieille vieilles vieux villa ville villeneuve villers vingt voiture voitures wagon wagons à
    électro équi états éco
"""
_EMOTICONS = ":) :-) ;) ;-) (: (; (-: :( :-( ): :] [: =) (= =] [= :/ =/ :| =| :> :* 8) <3 ^_^"

_PRONOUNS = ("I", "i", "you", "he", "she", "it", "we", "they")
_QUESTIONS = ("who", "what", "when", "where", "why", "how", "there", "that", "this", "these", "those")
_WOULD_HAVE = (("'ll",), ("'ll", "'ve"), ("'d",), ("'d", "'ve"))
_NEGATED = """
    ca could do does did had may might must need ought sha should wo would ai are is was were have has
    dare
"""
# A word and what it runs together with; the apostrophe may be missing.
_CONTRACTIONS = [
    *((word, "'m") for word in ("I", "i")),
    *((word, "'m", "a") for word in ("I", "i")),
    *((word, *more) for word in (*_PRONOUNS, *_QUESTIONS) for more in _WOULD_HAVE),
    *((word, "'ve") for word in ("I", "i", "you", "we", "they")),
    *((word, "'re") for word in ("you", "we", "they")),
    *((word, "'s") for word in ("he", "she", "it")),
    *((word, "'s") for word in _QUESTIONS[:-2]),
    *((word, more) for word in _QUESTIONS if word not in ("that", "this") for more in ("'re", "'ve")),
    *((word, "n't") for word in _NEGATED.split()),
    *((word, "n't", "'ve") for word in _NEGATED.split()[:15]),
    *((word, "'ve") for word in ("could", "might", "must", "should", "would", "not")),
    ("y'", "all"),
    ("let", "'s"),
]
_MERGED = [("can", "not"), ("gon", "na"), ("got", "ta")]
# What looks like such a contraction without its apostrophe, and is a word.
_WORDS_OF_THEIR_OWN = {"ill", "its", "hell", "shell", "shed", "were", "well", "whore", "lets"}
_WHOLE_ENGLISH = """
    ol' 'em 'll 'nuff 's 're 'd 'cause 'cos 'coz 'cuz 'bout doin' goin' nothin' nuthin' somethin' lovin'
    havin' ma'am o'clock and/or w/o Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb.
    Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. Neb. Nebr.
    Nev. Nov. Oct. Okla. Ore. Pa. Sep. Sept. Tenn. Va. Wash. Wis. Adm. Bros. co. Co. Corp. Dr. e.g. E.g.
    E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. Ph.D. Prof. Rep. Rev.
    Sen. St. vs. a.m. p.m.
"""
_WHOLE_SPANISH = """
    n° °C EE. UU. aprox. dna. dpto. ej. esq. pág. p.ej. Ud. Vd. Uds. Vds. vol. a.C. a.J.C. d.C. d.J.C.
    apdo. Av. Avda. Cía. Dr. Dra. EE.UU. Ee.Uu. etc. fig. Gob. Gral. Ing. J.C. km/h Lic. m.n. núm. P.D. Prof.
    Profa. q.e.p.d. S.A. S.L. S.R.L. s.s.s. Sr. Sra. Srta.
"""
_WHOLE_FRENCH = """
    aujourd'hui Aujourd'hui av. janv. févr. avr. juill. sept. oct. nov. déc. apr. Dr. M. Mr. Mme. Mlle.
    n° d° St. Ste. après-midi au-delà au-dessus celle-ci celles-ci celui-ci cf. ci-dessous elle-même
    en-dessous etc. jusque-là lui-même MM. No. peut-être pp. quelques-uns rendez-vous Vol.
"""
_FRENCH_INVERSIONS = [
    *(
        (verb, "-t", f"-{pronoun}")
        for verb in ("a", "est", "semble", "indique", "moque", "passe")
        for pronoun in ("elle", "il", "on")
    ),
    *(("est", "-ce"), ("est", "-il"), ("qu'", "est", "-ce"), ("n'", "est", "-ce"), ("s'", "est", "-il")),
    ("J.", "-C."),
]


def exceptions() -> dict[int, list[Parts]]:
    """For each set of rules, the tokens that the exceptional runs of characters are made of."""
    letters: list[Parts] = [(f"{letter}.",) for letter in "abcdefghijklmnopqrstuvwxyzäöü"]
    common = [*letters, ("C++",), ("''",), *((emoticon,) for emoticon in _EMOTICONS.split())]
    contracted = [
        *_CONTRACTIONS,
        *(tuple(part.replace("'", "") for part in parts) for parts in _CONTRACTIONS),
    ]
    english = [
        parts for parts in (*contracted, *_MERGED) if "".join(parts).lower() not in _WORDS_OF_THEIR_OWN
    ]
    english += [(word,) for word in _WHOLE_ENGLISH.split()]
    times = [(str(hour), half) for hour in range(1, 13) for half in ("am", "pm", "a.m.", "p.m.")]
    return {
        COMMON: common,
        ENGLISH: [*common, *_with_capitals(english), *times],
        SPANISH: [*common, *((word,) for word in _WHOLE_SPANISH.split()), ("pa", "l"), *times],
        FRENCH: [*common, *((word,) for word in _WHOLE_FRENCH.split()), *_with_capitals(_FRENCH_INVERSIONS)],
        UNITS: [(unit,) for unit in (*_UNIT_NAMES.split(), *CURRENCIES)],
        FRENCH_ENDINGS: _in_cases(_FRENCH_HYPHEN_ENDINGS.split()),
        FRENCH_BEGINNINGS: _in_cases(_FRENCH_HYPHEN_BEGINNINGS.split()),
        FRENCH_LINKS: _in_cases(_FRENCH_HYPHEN_LINKS.split()),
    }


def _in_cases(words: list[str]) -> list[Parts]:
    return [(form,) for word in words for form in (word, word.capitalize(), word.upper())]


def _with_capitals(exceptions: Iterable[Parts]) -> list[Parts]:
    """The exceptions as they are, with a capital, and with a typographic apostrophe."""
    written = [*exceptions]
    written += [(parts[0][0].upper() + parts[0][1:], *parts[1:]) for parts in written]
    return [*written, *(tuple(part.replace("'", "’") for part in parts) for parts in written)]
