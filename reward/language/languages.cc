// The table of languages. Stop words are the commonest of each; a word that two languages of one
// script share votes for both.
#include "reward/language/identify.h"

namespace temper {
namespace {

using Words = std::vector<std::string_view>;

const Words kEnglish = {
    "the",  "of",    "and", "to",   "in",    "is",    "that",    "it",     "was",   "for",
    "on",   "are",   "as",  "with", "his",   "they",  "at",      "be",     "this",  "have",
    "from", "or",    "by",  "but",  "not",   "what",  "all",     "were",   "we",    "when",
    "your", "can",   "an",  "each", "which", "she",   "do",      "how",    "their", "if",
    "will", "other", "you", "then", "them",  "these", "would",   "has",    "been",  "than",
    "my",   "i",     "a",   "he",   "so",    "our",   "me",      "there",  "also",  "its",
    "who",  "more",  "no",  "up",   "out",   "into",  "because", "should", "let",   "need",
    "just", "like",  "get", "one",  "know",  "where", "about",   "her",    "him",   "us"};
const Words kGerman = {"der",    "die",   "das",  "und",  "ist",  "nicht", "ein",   "eine",
                       "ich",    "zu",    "den",  "mit",  "sich", "auf",   "für",   "im",
                       "dem",    "von",   "auch", "als",  "wir",  "sie",   "es",    "sind",
                       "wird",   "bei",   "oder", "aber", "nach", "wie",   "einen", "einer",
                       "werden", "haben", "kann", "noch", "nur",  "so",    "aus"};
const Words kFrench = {"le",   "la",   "les",  "et",   "est",  "un",    "une",   "des",
                       "que",  "qui",  "dans", "pour", "pas",  "sur",   "ce",    "il",
                       "je",   "nous", "vous", "au",   "avec", "plus",  "par",   "ne",
                       "sont", "elle", "mais", "ou",   "du",   "de",    "cette", "être",
                       "donc", "aux",  "son",  "leur", "on",   "comme", "si",    "se"};
const Words kSpanish = {"el",     "la",   "los",   "las",     "y",    "es",   "un",       "una",
                        "de",     "que",  "en",    "por",     "con",  "para", "no",       "se",
                        "del",    "al",   "lo",    "como",    "más",  "pero", "sus",      "su",
                        "este",   "esta", "son",   "muy",     "está", "hay",  "entonces", "porque",
                        "cuando", "ser",  "tiene", "también", "nos",  "o",    "si"};
const Words kItalian = {"il",    "la",     "lo",   "gli",  "le",  "e",   "è",      "un",
                        "una",   "di",     "che",  "non",  "per", "con", "del",    "della",
                        "sono",  "nel",    "si",   "come", "più", "ma",  "questo", "questa",
                        "anche", "dei",    "alla", "da",   "al",  "su",  "ha",     "delle",
                        "nella", "essere", "mi",   "ci",   "se",  "i",   "hai",    "o"};
const Words kPortuguese = {"o",   "a",      "os",  "as",  "e",   "é",    "um",   "uma",
                           "de",  "que",    "do",  "da",  "em",  "não",  "para", "com",
                           "por", "no",     "na",  "se",  "dos", "das",  "mais", "como",
                           "mas", "foi",    "ao",  "ele", "são", "está", "você", "seu",
                           "sua", "também", "ser", "eu",  "nos", "tem",  "à",    "pelo"};
const Words kDutch = {"de",   "het", "een",  "en",  "van",  "is",  "dat", "niet", "te",   "op",
                      "voor", "met", "zijn", "er",  "aan",  "ook", "als", "maar", "om",   "dan",
                      "bij",  "ik",  "je",   "wij", "naar", "uit", "nog", "wat",  "deze", "worden"};
const Words kFinnish = {"ja",     "on",   "ei",    "se",    "että",  "oli",   "hän",   "mutta",
                        "ovat",   "kun",  "niin",  "tai",   "myös",  "sen",   "olla",  "joka",
                        "kuin",   "tämä", "ne",    "minä",  "sinä",  "voi",   "jos",   "vain",
                        "sitä",   "mitä", "olen",  "me",    "hyvä",  "siitä", "koska", "kanssa",
                        "mukaan", "olet", "sinun", "minun", "kuten", "jotka"};
const Words kSwahili = {"na",   "ya",     "wa",     "kwa",   "ni",   "katika", "za",     "la",
                        "kuwa", "hii",    "cha",    "kama",  "hiyo", "au",     "lakini", "pia",
                        "yake", "wake",   "watu",   "sana",  "mimi", "wewe",   "hivyo",  "moja",
                        "ili",  "baada",  "kila",   "yangu", "yako", "vya",    "huu",    "hilo",
                        "huo",  "kwamba", "ambayo", "ambao", "mtu",  "kutoka", "hapa"};
const Words kVietnamese = {"và",  "là",  "của", "có",    "không", "được", "trong", "một",
                           "cho", "với", "các", "người", "này",   "đã",   "để",    "những",
                           "tôi", "khi", "ra",  "đến",   "như",   "cũng", "về",    "bạn",
                           "từ",  "ở",   "thì", "sẽ",    "đó",    "nhiều"};
const Words kIndonesian = {"yang",   "dan", "di",     "itu",    "dengan", "untuk",
                           "tidak",  "ini", "dari",   "dalam",  "akan",   "pada",
                           "adalah", "ke",  "karena", "juga",   "saya",   "kami",
                           "bisa",   "ada", "atau",   "mereka", "sudah",  "seperti"};
const Words kTurkish = {"ve",   "bir",    "bu",    "da",   "de",   "için", "ile",
                        "çok",  "olarak", "daha",  "ne",   "gibi", "ama",  "var",
                        "olan", "kadar",  "değil", "en",   "ben",  "sen",  "mi",
                        "veya", "şey",    "sonra", "göre", "her",  "ki",   "biz"};
const Words kPolish = {"i",   "w",  "na",  "z",    "do",   "nie",   "się",   "że",  "to",  "jest",
                       "jak", "o",  "po",  "za",   "ale",  "od",    "przez", "dla", "tak", "co",
                       "czy", "są", "był", "oraz", "może", "tylko", "już",   "jego"};
const Words kSwedish = {"och",  "att", "det", "i",    "är",   "som",   "en",  "på", "för", "med",
                        "inte", "av",  "den", "till", "ett",  "jag",   "har", "de", "om",  "men",
                        "vi",   "var", "kan", "sig",  "från", "eller", "när", "så"};

const Words kRussian = {"и",   "в",   "не",  "на",  "что", "я",  "с",    "он",  "как",  "это",
                        "по",  "но",  "к",   "из",  "у",   "за", "от",   "для", "мы",   "вы",
                        "его", "или", "так", "все", "бы",  "же", "есть", "был", "если", "при"};
const Words kBulgarian = {"и",     "на", "да",  "се",  "в",    "е",    "за",   "не",
                          "от",    "с",  "са",  "че",  "по",   "като", "ще",   "но",
                          "това",  "си", "към", "или", "един", "една", "беше", "които",
                          "който", "ни", "са",  "го",  "съм",  "във"};
const Words kUkrainian = {"і",  "в",  "не",  "на",  "що",  "з",   "у", "та",  "до", "як",
                          "це", "за", "від", "але", "про", "для", "й", "він", "ми", "є"};

const Words kArabic = {"في", "من",  "على", "إلى", "أن",   "هذا", "هذه", "التي", "الذي", "ما",
                       "لا", "كان", "مع",  "هو",  "هي",   "عن",  "كل",  "أو",   "ثم",   "قد",
                       "لم", "بعد", "إن",  "ذلك", "يمكن", "أنا", "كما", "بين",  "و",    "لكن"};
const Words kPersian = {"در", "به",  "از",  "که", "این", "را",  "با",   "است", "برای", "آن",
                        "یک", "خود", "تا",  "بر", "می",  "هم",  "شده",  "ها",  "شما",  "من",
                        "یا", "ما",  "اما", "هر", "شد",  "کرد", "باشد", "بود", "های",  "و"};
const Words kUrdu = {"کے", "کی",  "ہے", "میں", "اور", "سے",  "کا",  "کو",   "اس", "پر",
                     "نے", "ہیں", "یہ", "کہ",  "ایک", "بھی", "جو",  "نہیں", "تو", "ہو",
                     "آپ", "وہ",  "ہم", "لیے", "کر",  "گیا", "تھا", "ہوں",  "یا", "اپنے"};

// clang-format measures these letters by their width, the lint test by their number.
// clang-format off
const Words kHindi = {
    "के", "में", "है", "की", "और", "से", "का", "को", "हैं", "पर", "यह", "कि", "एक", "नहीं",
    "भी", "ने", "कर", "हो", "लिए", "जो", "तो", "हम", "आप", "वह", "था", "मैं", "साथ", "अपने",
    "इस", "या"};
const Words kMarathi = {
    "आहे", "आणि", "या", "हे", "ते", "मी", "तर", "आहेत", "नाही", "होते", "व", "हा", "ही", "काही",
    "केले", "करून", "असे", "झाली", "त्या", "तुम्ही", "च", "एक", "पण", "साठी", "मध्ये", "आपण",
    "आम्ही", "होता", "जे", "की"};
const Words kNepali = {
    "छ", "र", "को", "मा", "यो", "हो", "छन्", "पनि", "लागि", "गर्न", "भएको", "तर", "एक", "हुन्छ",
    "गर्ने", "मेरो", "हामी", "थियो", "यस", "गरेको", "म", "के", "छु", "तपाईं", "तपाईंको", "साथ",
    "हुन", "भने", "अनि", "सबै"};
// clang-format on

}  // namespace

const std::vector<Language>& known_languages() {
  static const std::vector<Language> languages = {
      {"en", Script::latin, kEnglish},
      {"de", Script::latin, kGerman, U"ß"},
      {"fr", Script::latin, kFrench, U"œ"},
      {"es", Script::latin, kSpanish, U"ñ"},
      {"it", Script::latin, kItalian},
      {"pt", Script::latin, kPortuguese, U"ãõ"},
      {"nl", Script::latin, kDutch},
      {"fi", Script::latin, kFinnish},
      {"sv", Script::latin, kSwedish, U"å"},
      {"sw", Script::latin, kSwahili},
      {"vi", Script::latin, kVietnamese, U"ơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"},
      {"id", Script::latin, kIndonesian},
      {"tr", Script::latin, kTurkish, U"ğış"},
      {"pl", Script::latin, kPolish, U"łżźśęą"},
      {"ru", Script::cyrillic, kRussian, U"ыэё"},
      {"bg", Script::cyrillic, kBulgarian},
      {"uk", Script::cyrillic, kUkrainian, U"їєґі"},
      {"ar", Script::arabic, kArabic, U"ةىأإ"},
      {"fa", Script::arabic, kPersian, U"ژ"},
      {"ur", Script::arabic, kUrdu, U"ٹڈڑےںہ"},
      {"hi", Script::devanagari, kHindi},
      {"mr", Script::devanagari, kMarathi, U"ळ"},
      {"ne", Script::devanagari, kNepali},
      {"el", Script::greek, {}},
      {"he", Script::hebrew, {}},
      {"bn", Script::bengali, {}},
      {"pa", Script::gurmukhi, {}},
      {"gu", Script::gujarati, {}},
      {"ta", Script::tamil, {}},
      {"te", Script::telugu, {}},
      {"kn", Script::kannada, {}},
      {"ml", Script::malayalam, {}},
      {"th", Script::thai, {}},
      {"ko", Script::hangul, {}},
      {"ja", Script::kana, {}},
      {"zh", Script::han, {}},
  };
  return languages;
}

}  // namespace temper
