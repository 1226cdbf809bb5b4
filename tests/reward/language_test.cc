#include "reward/rules/language.h"
#include "reward/language/identify.h"
#include "reward/language/prose.h"
#include "tests/support/catch.h"

using namespace temper;

TEST_CASE("languages are told by script, letters and stop words") {
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"en", "The sun was shining and they went to the beach with all of their friends."},
      {"de", "Die Sonne scheint und wir gehen mit unseren Freunden an den Strand."},
      {"fr", "Le soleil brille et nous allons à la plage avec nos amis pour la journée."},
      {"es", "El sol brilla y vamos a la playa con los amigos para pasar el día."},
      {"it", "Il sole splende e andiamo alla spiaggia con gli amici, non è lontano."},
      {"pt", "O sol brilha e nós vamos para a praia com os amigos, não é longe."},
      {"fi", "Aurinko paistaa ja me menemme rannalle, mutta se ei ole kaukana."},
      {"sw", "Jua linawaka na watu wanakwenda pwani kwa ajili ya kupumzika pia."},
      {"vi", "Mặt trời chiếu sáng và chúng tôi đi đến bãi biển với các bạn."},
      {"ru", "Солнце светит, и мы идём на пляж с друзьями, это не далеко."},
      {"bg", "Слънцето грее и ние отиваме на плажа с приятели, това не е далеч."},
      {"ar", "الشمس مشرقة ونحن نذهب إلى الشاطئ مع الأصدقاء في هذا اليوم."},
      {"fa", "خورشید می درخشد و ما با دوستان به ساحل می رویم که دور است."},
      {"ur", "سورج چمک رہا ہے اور ہم دوستوں کے ساتھ ساحل پر جا رہے ہیں۔"},
      {"hi", "सूरज चमक रहा है और हम दोस्तों के साथ समुद्र तट पर जा रहे हैं।"},
      {"mr", "सूर्य चमकत आहे आणि आम्ही मित्रांसह समुद्रकिनारी जात आहोत."},
      {"ne", "घाम लागेको छ र हामी साथीहरूसँग समुद्र किनारमा जाँदैछौं, यो राम्रो हो।"},
      {"bn", "সূর্য উঠেছে এবং আমরা বন্ধুদের সাথে সৈকতে যাচ্ছি।"},
      {"pa", "ਸੂਰਜ ਚਮਕ ਰਿਹਾ ਹੈ ਅਤੇ ਅਸੀਂ ਦੋਸਤਾਂ ਨਾਲ ਜਾ ਰਹੇ ਹਾਂ।"},
      {"gu", "સૂર્ય ચમકી રહ્યો છે અને અમે મિત્રો સાથે જઈ રહ્યા છીએ."},
      {"ta", "சூரியன் பிரகாசிக்கிறது, நாங்கள் நண்பர்களுடன் செல்கிறோம்."},
      {"te", "సూర్యుడు ప్రకాశిస్తున్నాడు మరియు మేము వెళ్తున్నాము."},
      {"kn", "ಸೂರ್ಯ ಹೊಳೆಯುತ್ತಿದ್ದಾನೆ ಮತ್ತು ನಾವು ಹೋಗುತ್ತಿದ್ದೇವೆ."},
      {"th", "พระอาทิตย์ส่องแสงและเราไปทะเลกับเพื่อน"},
      {"ko", "태양이 빛나고 우리는 친구들과 해변에 갑니다."},
      {"ja", "太陽が輝いていて、私たちは友達と海に行きます。"},
      {"zh", "太阳很好，我们和朋友一起去海边。"},
      {"", "1 + 1 = 2"},
      {"", ""},
  };
  for (const auto& [code, text] : texts) {
    INFO(text);
    CHECK(identify_language(text) == code);
  }
}

TEST_CASE("prose leaves out formulas, code, tags and addresses") {
  const std::string prose = prose_of(
      "so $x$ and \\(y\\) is `code` ```\nint a;\n\nint b;\n``` <b>end</b> \\alpha "
      "https://a.b/c but $5 is left");
  for (const char* gone : {"x", "y", "code", "int", "alpha", "https"}) {
    INFO(gone);
    CHECK(prose.find(gone) == std::string::npos);
  }
  for (const char* kept : {"so", "and", "end", "but", "left"}) {
    CHECK(prose.find(kept) != std::string::npos);
  }
}

TEST_CASE("the share of a language counts a mixed chain of thought by its words") {
  const LanguageCounts half = count_language("We add the two numbers. 我们把数字", "en");
  CHECK(half.words == 10);
  CHECK(half.target == 5);
  CHECK(count_language("We add the two numbers. 我们把数字", "zh").target == 5);
  const LanguageCounts decimals = count_language("So 1.5 of the 10.25 gallons are left.", "en");
  CHECK(decimals.words == 6);
  CHECK(decimals.target == 6);
}
