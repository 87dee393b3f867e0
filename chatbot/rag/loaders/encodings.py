"""Bytes to text: byte order marks, declared charsets as browsers know them, and detection for files without one.

Labels are those of the WHATWG Encoding standard (https://encoding.spec.whatwg.org), read with Python's codecs of the
same repertoire.
"""

import codecs
import re
from itertools import pairwise

BOMS = {  # UTF-32 first: its little-endian mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What the standard calls by a narrower name than it reads (section 4.2), and names that Python spells otherwise.
SUPERSETS = {
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "iso-8859-8-i": "iso-8859-8",
    "shift_jis": "cp932",
    "x-mac-cyrillic": "mac-cyrillic",
    "macintosh": "mac-roman",
    "windows-874": "cp874",
    "x-user-defined": "cp1252",  # in a page's own declaration (HTML, 13.2.3.2)
}
SINGLE_BYTE_GUESSES = [
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp437", "cp850",
    "cp852", "cp855", "cp866", "cp874", "iso-8859-2", "iso-8859-4", "iso-8859-5", "iso-8859-6", "iso-8859-7",
    "iso-8859-8", "iso-8859-9", "iso-8859-13", "iso-8859-15", "iso-8859-16", "koi8-r", "koi8-u", "mac-roman",
    "mac-cyrillic", "mac-latin2",
]  # fmt: skip
MULTI_BYTE_GUESSES = [
    "big5hkscs", "cp932", "cp949", "euc-jis-2004", "gb18030", "iso2022-jp-2", "iso2022-kr", "johab",
]  # fmt: skip
WIDE = ["utf-16-le", "utf-16-be", "utf-32-be", "utf-32-le"]
LAST_RESORT = "cp1252"
MAX_DETECTED_BYTES = 20_000  # 30 ms of the detector; a small text is read between two requests
CONTEXT_BYTES = 200  # in front of the first byte beyond ASCII
BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
# Bytes that Python's codec leaves undefined are controls in the standard.
WINDOWS_1252 = "".join(bytes([byte]).decode(LAST_RESORT, "ignore") or chr(byte) for byte in range(256))
# Bytes beyond ASCII in different values; with fewer, the letters of languages tell more than a detector, which takes
# "Größe" for Icelandic of a Macintosh. A value that is repeated on each line tells no more than once.
MIN_EVIDENCE = 100
MIN_COMMON_SHARE = 0.4
MIN_NULS = 3
MAX_BYTES_PER_NUL = 20  # UTF-16 and UTF-32 have a NUL among so many bytes, at least: a blank or a line's end
MAX_DAMAGE = 0.02  # share of broken characters among those beyond ASCII at which an encoding is still believed
ESCAPES = re.compile(rb"\x1b(?:\$[@B(]|\([BIJ]|\$\)C)")  # of ISO-2022, which has no byte beyond ASCII
# Letters beyond ASCII of languages (CLDR's main exemplars), by the encoding of their Windows and older ones.
WESTERN = (
    "äöüßé", "àâæçéèêëîïôœùûüÿ", "áéíñóúü", "àáâãçéêíóôõúü", "àèéìíîòóùú", "àçèéíïòóúü", "åäöé", "åæøéèòóôà",
    "áðéíóúýþæöø", "áéëíïóöúüèê", "çë",
)  # fmt: skip
CENTRAL = ("áéíóöőúüű", "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "ăâîşţ", "čćđšž")
TURKISH = ("çğıöşüâ",)
BALTIC = ("ąčęėįšųūž", "āčēģīķļņšūž", "äöüõšž")
ALPHABETS = {
    LAST_RESORT: WESTERN, "cp1254": TURKISH, "cp1250": CENTRAL, "cp1257": BALTIC, "iso-8859-15": WESTERN,
    "iso-8859-2": CENTRAL, "cp850": WESTERN, "mac-roman": WESTERN, "cp852": CENTRAL,
}  # fmt: skip
# In Windows-1252, words of other languages: no ç stands before a consonant, õ before e alone, and þ begins a word.
FOREIGN = re.compile(r"ç[b-df-hj-np-tv-z]|õ(?!e)|(?<=[a-zðý])þ|\bð|iê\b", re.IGNORECASE)
# The commonest characters of Chinese and Japanese: read in another's encoding, they become rare ones.
COMMON = {
    "cp932": (
        "日一国人年大本中時会出上分生学行月地事者長高間前部金場市作方目発見社動定明今気後家立下手田山川村木東京都"
        "府県区町名住所電話番号品価格数量計円氏員店内外小新第合平成回理業体力戦表対全法制度佐藤鈴橋渡辺伊加松井石"
        "野原島林阪横浜北海道福岡愛知神奈千葉埼玉静和春夏秋冬朝夜午入開門駅車食水火土白黒赤青男女子父母友先校教室"
        "書語文字用料"
    ),
    "gb18030": (
        "的一是不了在人有我他这中大国上个们到说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种"
        "事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长"
        "把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产新己"
        "制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条"
        "平系气题活姓城市区县省址电号价格数量单品王李张刘陈杨赵黄周吴徐孙胡朱林何郭马罗北京广州深圳强芳伟娜敏静丽"
    ),
    "big5hkscs": (
        "的一是不了在人有我他這中大國上個們到說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種"
        "事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日者意無力與長機十"
        "民第公此已工使情明性知全三又關點正業外將兩高間由問很最重並物手應向頭文體政美相見被利二等產新己制身果加西"
        "月話合回特代內信表化老給世位次度門任常先海通教原東聲提立及比員解水名真論處走義各入口認條平系氣題活姓城市"
        "區縣省址電號價格數量單品陳林黃張李王吳劉蔡楊臺台北雄"
    ),
}
COMMON["cp932"] += "".join(map(chr, range(0x3041, 0x30FF)))  # and the kana
COMMON["euc-jis-2004"] = COMMON["cp932"]
# A word of a western language: letters with marks stand beside plain ones, or are words of their own in some.
WESTERN_WORD = re.compile(r"(?=[À-ÖØ-öø-ÿŒœŠšŽžŸ]*+[A-Za-z])[A-Za-zÀ-ÖØ-öø-ÿŒœŠšŽžŸ]++|[àáèéêìíòóôùúÀÁÈÉÓÔÅåÖöØø]")
WESTERN_SIGNS = frozenset(  # quotes, dashes, currencies, fractions and the like, in Windows-1252
    bytes.fromhex("20808284858687898b91929394959697999ba1a2a3a5a7a9aaabacaeb0b1b2b3b4b5b6b7b9babbbcbdbebfd7f7").decode(
        "cp1252"
    )
)
WORDS = re.compile(r"[^\W\d_]+")
LONE_LETTERS = set("àáèéêìíîòóôùúÀÁÈÉÓÔÅåÖöØø¼½¾¹²³")  # and numbers that are words
SIGN_IN_WORD = re.compile(
    r"[^\W\d_][^\w\x00-\x7f\u2019\u2018·\u2013—…\xad][^\W\d_]|[a-z]{3}[¹³]|[½¼¾¶‡][^\W\d_]|[^\W\d_][¶‡]", re.IGNORECASE
)
VALUES = re.compile(rb"[\s,;|\"]+")


def marked_encoding(data: bytes) -> str | None:
    """Return the encoding that a byte order mark tells, or None without one."""
    return next((name for mark, name in BOMS.items() if data.startswith(mark)), None)


def codec_of(label: str | None) -> str | None:
    """Return the name of Python's codec for a label of the WHATWG standard, or None for an unknown one."""
    import webencodings

    encoding = webencodings.lookup(label) if label else None
    if encoding is None or encoding.name == "replacement":
        return None
    name = str(encoding.name)
    return SUPERSETS.get(name, name)


def decode(data: bytes, declared: str | None = None) -> str:
    """Return bytes as text: by their mark, as UTF-8, by their declared charset, or as detection finds.

    A few bytes that are broken cost a character (U+FFFD) each.
    """
    marked = marked_encoding(data)
    if marked:
        return data.decode(marked, "replace")
    return _decode_unmarked(data, codec_of(declared))


def transcode(data: bytes, charset: str) -> bytes:
    """Return a file as UTF-8 with a mark, so that the charset told with it outranks the one that it declares.

    It is left alone where it has a mark or the charset is unknown.
    """
    if marked_encoding(data) or codec_of(charset) is None:
        return data
    return codecs.BOM_UTF8 + decode(data, charset).encode("utf-8", "replace")


def is_wide(data: bytes) -> bool:
    """Return whether it is UTF-16 or UTF-32, by its mark or its NULs."""
    return bool(marked_encoding(data) or _wide_encoding(data))


def _decode_unmarked(data: bytes, declared: str | None) -> str:
    if declared and declared.startswith("utf-16"):  # without NULs in turn it cannot be (HTML, 13.2.3.2)
        declared = None
    wide = _wide_encoding(data)
    if wide:
        return data.decode(wide, "replace")
    data = data.replace(b"\0", b"")
    if declared and ESCAPES.search(data):  # valid UTF-8 too
        return data.decode(declared, "replace")
    for encoding in ("utf-8", declared):
        text = _decode_undamaged(data, encoding)
        if text is not None:
            return text
    return _decode_with_controls(data, detect(data))


def _decode_undamaged(data: bytes, encoding: str | None) -> str | None:
    """Return the text unless more of it is broken than damage explains, or an encoding of 7 bits is likelier."""
    if encoding is None or (encoding == "utf-8" and ESCAPES.search(data)):
        return None
    text = data.decode(encoding, "replace")
    broken = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore")) if broken else 0
    return text if broken <= MAX_DAMAGE * beyond_ascii else None


def _wide_encoding(data: bytes) -> str | None:
    """Return which of UTF-16 and UTF-32 bytes without a mark are, as their NULs tell."""
    import chardet

    head = data[:MAX_DETECTED_BYTES]
    even = head[::2].count(0)
    odd = head[1::2].count(0)
    are_in_turn = min(even, odd) * 10 <= max(even, odd) or min(even, odd) * 4 >= len(head) // 2  # of 2 bytes, or of 4
    if even + odd < MIN_NULS or (even + odd) * MAX_BYTES_PER_NUL < len(head) or not are_in_turn:
        return None
    return chardet.detect(head, compat_names=False, include_encodings=WIDE, no_match_encoding=WIDE[0])["encoding"]


def detect(data: bytes) -> str:
    """Return the likeliest codec of bytes that declare none and are not UTF-8."""
    import chardet

    first = BEYOND_ASCII.search(data)
    start = max(0, first.start() - CONTEXT_BYTES) if first else 0
    sample = data[start : start + MAX_DETECTED_BYTES]
    if len(sample) == MAX_DETECTED_BYTES:  # no character is cut
        sample = sample.rpartition(b"\n")[0] or sample
    found = _detect_by_letters(sample, _count_evidence(sample))
    if found:
        return found
    guesses = [*SINGLE_BYTE_GUESSES, *MULTI_BYTE_GUESSES]
    found = chardet.detect(sample, compat_names=False, include_encodings=guesses)["encoding"]
    return found or LAST_RESORT


def _count_evidence(data: bytes) -> int:
    """Return how many bytes beyond ASCII are in different values."""
    distinct = b"".join({value for value in VALUES.split(data) if BEYOND_ASCII.search(value)})
    return len(distinct) - len(distinct.translate(None, bytes(range(128, 256))))


def _detect_by_letters(data: bytes, evidence: int) -> str | None:
    """Return the encoding by which few letters are those of a language, or None."""
    if evidence == 0 or evidence >= MIN_EVIDENCE:
        return None
    texts = {name: text for name in (*ALPHABETS, *COMMON) if (text := _decode_strictly(data, name))}
    shares = {name: _common_share(texts[name], common) for name, common in COMMON.items() if name in texts}
    best = max(shares, key=lambda name: shares[name], default="")
    others = [share for name, share in shares.items() if name != best]
    if best and shares[best] >= MIN_COMMON_SHARE and shares[best] > 2 * max(others, default=0):
        return best
    spelled = (name for name in ALPHABETS if name in texts and _is_spelled_with(texts[name], ALPHABETS[name]))
    found = next(spelled, None)
    return found or (LAST_RESORT if _is_western(texts.get(LAST_RESORT)) else None)


def _decode_strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_spelled_with(text: str, alphabets: tuple[str, ...]) -> bool:
    """Return whether all letters beyond ASCII are of one alphabet, in words as the languages have them."""
    letters = {letter for letter in text.lower() if letter > "\x7f" and letter.isalpha()}
    return any(letters <= set(alphabet) for alphabet in alphabets) and _has_words(text, alphabets is WESTERN)


def _has_words(text: str, is_western: bool) -> bool:
    words = [word for word in WORDS.findall(text) if not word.isascii()]
    return (
        all(map(_is_spelled, words))
        and not SIGN_IN_WORD.search(text)
        and not (is_western and FOREIGN.search(text))
        and all(character in WESTERN_SIGNS for character in WORDS.sub("", text) if character > "\x7f")
    )


def _is_spelled(word: str) -> bool:
    """Return whether a word has a plain letter, or is one alone, and no capital behind a small letter."""
    is_capital_inside = any(one.islower() and other.isupper() and other > "\x7f" for one, other in pairwise(word))
    return not is_capital_inside and (word in LONE_LETTERS or any(map(str.isascii, word)))


def _common_share(text: str, common: str) -> float:
    """Return the share of common characters in those beyond ASCII, each once."""
    found = {character for character in text if character > "\x7f" and character.isalpha()}
    return sum(character in common for character in found) / max(len(found), 1)


def _is_western(text: str | None) -> bool:
    """Return whether all that is beyond ASCII, as Windows-1252, are words of western languages and their signs."""
    return text is not None and all(map(WESTERN_WORD.fullmatch, WORDS.findall(text))) and _has_words(text, True)


def _decode_with_controls(data: bytes, encoding: str) -> str:
    if encoding != LAST_RESORT:
        return data.decode(encoding, "replace")
    return codecs.charmap_decode(data, "strict", WINDOWS_1252)[0]
