"""Bytes to text: texts of many languages in the encodings that their files have."""

import codecs

import pytest

from chatbot.rag.loaders import encodings

# The first sentence of the Universal Declaration of Human Rights, or of its preamble, where it is public.
SENTENCES = {
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق، وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft begabt, müßig für Große.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison.",
    "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון.",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek ésszel bírnak.",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 이성을 부여받았다.",
    "lt": "Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis. Jiems suteiktas protas ir sąžinė.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler, kardeşlik zihniyeti.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю.",
    "zh-cn": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "zh-tw": "人人生而自由,在尊嚴和權利上一律平等。他們賦有理性和良心,並應以兄弟關係的精神相對待。",
}
ENCODINGS = {
    "ar": ["cp1256", "iso-8859-6", "utf-16-le"],
    "cs": ["cp1250", "iso-8859-2", "utf-16-be", "cp852", "mac-latin2", "utf-8", "utf-8-sig", "utf-32"],
    "de": ["cp1252", "iso-8859-1", "cp850", "mac-roman", "cp437"],
    "el": ["cp1253", "iso-8859-7"],
    "fr": ["cp1252", "iso-8859-15"],
    "he": ["cp1255", "iso-8859-8"],
    "hu": ["cp1250", "iso-8859-2"],
    "ja": ["cp932", "euc-jp", "iso-2022-jp"],
    "ko": ["euc-kr", "cp949", "iso-2022-kr", "johab"],
    "lt": ["cp1257", "iso-8859-13"],
    "pl": ["cp1250", "iso-8859-2"],
    "ru": ["cp1251", "koi8-r", "cp866", "iso-8859-5", "mac-cyrillic", "cp855"],
    "th": ["cp874", "tis-620"],
    "tr": ["cp1254", "iso-8859-9"],
    "uk": ["cp1251", "koi8-u"],
    "zh-cn": ["gb18030", "gb2312", "gbk"],
    "zh-tw": ["big5", "big5hkscs"],
}
PAIRS = [(language, encoding) for language, names in ENCODINGS.items() for encoding in names]


@pytest.mark.parametrize(("language", "encoding"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_undeclared_text_is_detected(language: str, encoding: str) -> None:
    text = f"{SENTENCES[language]}\n" * 3
    assert encodings.decode(text.encode(encoding)) == text


def test_forty_encodings_are_among_them() -> None:
    assert len({encoding for _, encoding in PAIRS}) >= 40


@pytest.mark.parametrize("text", ["Größe", "“quoted” €", "Café au lait", "naïve façade", "25°C ± 3", "© 2020 Acme®", "à la", "5 £ – 6 €"])  # fmt: skip
def test_few_marks_among_plain_letters_are_windows_1252(text: str) -> None:
    assert encodings.decode(text.encode("cp1252")) == text


@pytest.mark.parametrize(
    ("text", "encoding"), [("Имя", "cp1251"), ("東京", "cp932"), ("中文", "gbk"), ("品名,価格", "cp932")]
)
def test_few_letters_of_other_scripts_are_not(text: str, encoding: str) -> None:
    assert encodings.decode(text.encode(encoding)) == text


LISTS = [
    ("Référence;Désignation;Quantité\n", "F001;Stylo à bille bleu n° 1;2\nF002;Règle;3\n", "cp1252"),
    ("Artikel;Preis\n", "Tee;3,50 €\nSaft;2,10 €\n", "cp1252"),
    ("Città;Quantità\n", "Forlì;3\nCantù;2\nPerché no;1\nCosì;2\nCaffè;3\nMartedì;7\nUniversità;4\n", "cp1252"),
    ("Año;Señor\n", "2020;Peña\n2021;Muñoz\n2022;Ibáñez\n", "cp1252"),
    ("Désignation;Quantité\n", "Cahier à spirale;2\n", "cp850"),
    ("Größe;Farbe\n", "L;weiß\nM;grün\n", "mac-roman"),
    ("Menge;Zutat\n", "½ Liter;Öl\n3 m²;Käse\n", "cp1252"),
    ("Imię;Praca\n", "Anna;Pracowałam pięć lat\n", "iso-8859-2"),
    ("Ad;Şehir\n", "Ayşe;İzmir\nOğuz;Muğla\n", "cp1254"),
    ("Név;Város\n", "Ödön;Győr\nErzsébet;Pécs\n", "cp1250"),
    ("Ime;Grad\n", "Đorđe;Šibenik\nŽeljko;Poreč\n", "cp1250"),
    ("Vardas;Miestas\n", "Jūratė;Šiauliai\nŽygimantas;Kėdainiai\n", "cp1257"),
    ("名前;住所\n", "田中;東京\n鈴木;大阪\n", "euc-jp"),
    ("名前,住所\n", "田中,東京\n", "cp932"),
    ("ヒンメイ;カズ\n", "ペン;1\nノート;2\n", "cp932"),
    ("姓名;城市\n", "王芳;北京\n李强;上海\n", "gb18030"),
    ("姓名;城市\n", "王芳;臺北\n李強;高雄\n", "big5"),
]


@pytest.mark.parametrize("repetitions", [1, 5, 80])
@pytest.mark.parametrize(("names", "rows", "encoding"), LISTS, ids=[f"{one[2]}-{one[0][:3]}" for one in LISTS])
def test_short_list_is_read_by_the_letters_of_its_language(
    names: str, rows: str, encoding: str, repetitions: int
) -> None:
    text = names + rows * repetitions
    assert encodings.decode(text.encode(encoding)) == text


def test_list_may_have_names_of_several_western_languages() -> None:
    text = "Quantité Règle François Hélène Désignation à Élève Noël Señor São smörgås Bücher ".replace(" ", ";1\n")
    assert encodings.decode(text.encode("cp1252")) == text


def test_first_foreign_letters_may_stand_far_behind() -> None:
    text = "plain words\n" * 20_000 + f"{SENTENCES['ru']}\n" * 3
    assert encodings.decode(text.encode("cp1251")) == text


def test_one_bad_byte_costs_one_character() -> None:
    text = "Die Straße führt über die Brücke nach Süden. " * 40
    data = bytearray(text.encode())
    data[700:700] = b"\xff"
    assert encodings.decode(bytes(data)).replace("\ufffd", "", 1) == text
    declared = bytearray((SENTENCES["ja"] * 9).encode("cp932"))
    declared[100:100] = b"\xff"
    assert encodings.decode(bytes(declared), "shift_jis").count("\ufffd") <= 1


@pytest.mark.parametrize(
    ("label", "encoding", "text"),
    [
        ("gb2312", "gb18030", "镕㐀"),  # beyond GB 2312 itself
        ("Shift_JIS", "cp932", "①Ⅷ㈱髙"),  # beyond JIS X 0208
        ("x-sjis", "cp932", SENTENCES["ja"]),
        ("iso-2022-jp", "iso-2022-jp", SENTENCES["ja"]),
        ("ks_c_5601-1987", "cp949", "똠방각하"),
        ("iso-8859-1", "cp1252", "“x” €"),
        ("ascii", "cp1252", "“x” é"),
        ("x-user-defined", "cp1252", "é"),
        ("windows-31j", "cp932", SENTENCES["ja"]),
    ],
)
def test_declared_labels_mean_what_browsers_take_them_for(label: str, encoding: str, text: str) -> None:
    assert encodings.decode(text.encode(encoding), label) == text


@pytest.mark.parametrize("label", ["iso-8859-1", "nonsense", "replacement", "utf-8", ""])
def test_utf8_is_utf8_whatever_is_declared(label: str) -> None:
    assert encodings.decode("Größe über alles".encode(), label) == "Größe über alles"


def test_page_of_single_bytes_that_declares_utf16_is_not() -> None:
    assert encodings.decode("Größe und Höhe".encode("cp1252"), "utf-16") == "Größe und Höhe"


def test_declaration_that_cannot_be_true_is_passed_over() -> None:
    assert encodings.decode(SENTENCES["ru"].encode("cp1251"), "utf-8") == SENTENCES["ru"]
    assert encodings.decode(SENTENCES["ja"].encode("euc-jp"), "shift_jis") == SENTENCES["ja"]


def test_stray_nuls_are_dropped_and_utf16_is_not_taken_for_them() -> None:
    assert encodings.decode(b"The hearing\0 was moved\0.") == "The hearing was moved."
    assert encodings.decode("name,town\nOlu,Leeds\n".encode("utf-16-le")) == "name,town\nOlu,Leeds\n"


@pytest.mark.parametrize(
    "text",
    ["log line without anything special 1234\n" * 200, "Hello, this is a short note.", "Größe über alles\n" * 50],
)
@pytest.mark.parametrize("place", [0, 7, -1])
def test_one_nul_makes_no_utf16(text: str, place: int) -> None:
    data = bytearray(text.encode())
    data.insert(place % len(data), 0)
    assert encodings.decode(bytes(data)) == text
    assert encodings.decode(text.encode() + b"\0") == text


def test_charset_told_with_a_file_outranks_its_own() -> None:
    page = '<meta charset="iso-8859-1">' + SENTENCES["ja"]
    told = encodings.transcode(page.encode("cp932"), "shift_jis")
    assert told == codecs.BOM_UTF8 + page.encode()
    assert encodings.transcode(b"x", "nonsense") == b"x"
    marked = codecs.BOM_UTF16_LE + "x".encode("utf-16-le")
    assert encodings.transcode(marked, "shift_jis") == marked
