#include "model/checkpoint/import.h"

#include <cstring>

#include "core/error.h"
#include "data/tokenizer.h"
#include "tests/model/checkpoint/gguf_builder.h"
#include "tests/support/catch.h"
#include "tests/support/shared.h"
#include "tests/support/temporary_folder.h"

namespace temper {
namespace {

// A llama of 4 tokens, size 8, 2 heads of 4, 1 key-value head, 1 layer. Every weight row holds its
// own number, so that moved rows show.
test::GgufBuilder small_llama(const std::string& without = "") {
  test::GgufBuilder builder;
  builder.text("general.architecture", "llama");
  builder.integer("llama.embedding_length", 8);
  builder.integer("llama.feed_forward_length", 16);
  builder.integer("llama.block_count", 1);
  builder.integer("llama.attention.head_count", 2);
  builder.integer("llama.attention.head_count_kv", 1);
  builder.integer("llama.context_length", 64);
  builder.real("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  builder.real("llama.rope.freq_base", 100000.0f);
  builder.text("tokenizer.ggml.model", "gpt2");
  builder.text("tokenizer.ggml.pre", "smollm");
  builder.texts("tokenizer.ggml.tokens", {"a", "b", "ab", "<|end|>"});
  builder.texts("tokenizer.ggml.merges", {"a b"});
  builder.integer("tokenizer.ggml.eos_token_id", 3);
  builder.text("tokenizer.chat_template", "{{ messages }}");
  const auto rows = [&](const std::string& name, uint64_t out, uint64_t in) {
    if (name == without) return;
    std::vector<float> values(out * in);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / in);
    builder.f32(name, in == 1 ? std::vector<uint64_t>{out} : std::vector<uint64_t>{out, in},
                values);
  };
  rows("token_embd.weight", 4, 8);
  rows("output_norm.weight", 8, 1);
  rows("blk.0.attn_norm.weight", 8, 1);
  rows("blk.0.attn_q.weight", 8, 8);
  rows("blk.0.attn_k.weight", 4, 8);
  rows("blk.0.attn_v.weight", 4, 8);
  rows("blk.0.attn_output.weight", 8, 8);
  rows("blk.0.ffn_norm.weight", 8, 1);
  rows("blk.0.ffn_gate.weight", 16, 8);
  rows("blk.0.ffn_up.weight", 16, 8);
  rows("blk.0.ffn_down.weight", 8, 16);
  return builder;
}

std::vector<float> row_numbers(const Tensor& tensor) {
  std::vector<float> rows;
  for (int64_t i = 0; i < tensor.rows(); ++i) rows.push_back(tensor.row<float>(i)[0]);
  return rows;
}

TEST_CASE("import: a GGUF llama has its config, its rotation in halves and its tokenizer") {
  Context ctx(1);
  TemporaryFolder dir;
  dir.write("m.gguf", small_llama().bytes());
  REQUIRE(is_gguf(dir / "m.gguf"));
  const ImportedModel model = import_gguf(ctx, dir / "m.gguf");
  CHECK(model.config.model_type == "llama");
  CHECK(model.config.tie_word_embeddings);
  CHECK(model.config.rms_norm_eps == 1e-5);
  CHECK(model.config.rope.rope_theta == 100000.0);
  CHECK(model.config.eos_token_id == std::vector<int64_t>{3});
  const GqaWeights& attention = model.weights.view.layers[0].gqa;
  // Rows 2j + half of a head move to half * 2 + j.
  CHECK(row_numbers(attention.q_proj) == std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7});
  CHECK(row_numbers(attention.k_proj) == std::vector<float>{0, 2, 1, 3});
  CHECK(row_numbers(attention.v_proj) == std::vector<float>{0, 1, 2, 3});
  CHECK(model.vocabulary.pre == "smollm");
  CHECK(model.vocabulary.merges == std::vector<std::string>{"a b"});
  CHECK(model.vocabulary.chat_template == "{{ messages }}");
}

TEST_CASE("import: GGUF tensors that do not fit are all named") {
  Context ctx(1);
  TemporaryFolder dir;
  test::GgufBuilder builder = small_llama("blk.0.attn_v.weight");
  builder.f32("blk.0.mystery.weight", {2}, {1, 2});
  dir.write("m.gguf", builder.bytes());
  try {
    import_gguf(ctx, dir / "m.gguf");
    FAIL("imported");
  } catch (const UserError& error) {
    const std::string message = error.what();
    CHECK(message.find("blk.0.attn_v.weight: missing") != std::string::npos);
    CHECK(message.find("blk.0.mystery.weight: unexpected") != std::string::npos);
  }
  test::GgufBuilder other;
  other.text("general.architecture", "mamba");
  dir.write("m.gguf", other.bytes());
  CHECK_THROWS_WITH(import_gguf(ctx, dir / "m.gguf"), Contains("mamba"));
}

TEST_CASE("import: a llama2.c file that is cut, too long or something else is refused") {
  Context ctx(1);
  TemporaryFolder dir;
  const int32_t header[7] = {4, 8, 1, 2, 1, 300, 16};
  const size_t numbers = 300 * 4 + 4 + 16 + 8 + 8 + 16 + 4 + 32 * 3 + 4 + 16 * 2;
  std::string content(reinterpret_cast<const char*>(header), sizeof header);
  content += std::string(numbers * 4, '\0');
  std::string vocabulary(4, '\1');
  for (int i = 0; i < 300; ++i)
    vocabulary += std::string("\0\0\0\0\1\0\0\0", 8) + static_cast<char>('a' + i % 26);
  dir.write("tok300.bin", vocabulary);
  const auto import = [&](const std::string& bytes) {
    dir.write("m.bin", bytes);
    return import_llama2c(ctx, dir / "m.bin", "");
  };
  CHECK(import(content).config.head_dim == 2);
  CHECK_THROWS_AS(import(content + "1234"), UserError);
  CHECK_THROWS_AS(import(content.substr(0, content.size() - 4)), UserError);
  CHECK_THROWS_AS(import("short"), UserError);
  CHECK_THROWS_AS(import(std::string(1000, 'x')), UserError);
  std::filesystem::remove(dir / "tok300.bin");
  CHECK_THROWS_WITH(import(content), Contains("tok300.bin"));
}

TEST_CASE("import: stories260K becomes a folder with a working tokenizer") {
  const auto source = test::shared_data_dir() / "stories260K/stories260K.bin";
  if (!test::present(source)) return;
  Context ctx(2);
  ImportedModel imported = import_llama2c(ctx, source, "");
  CHECK(imported.config.vocab_size == 512);
  CHECK(count_parameters(imported.config).total == 260032);
  TemporaryFolder dir;
  save_imported(imported, dir / "m", {});
  LoadedModel loaded = load_model(ctx, dir / "m", DType::f32);
  CHECK(std::memcmp(loaded.weights.storage.buffer.data(), imported.weights.storage.buffer.data(),
                    imported.weights.storage.buffer.bytes()) == 0);
  const Tokenizer tokenizer(dir / "m");
  const std::string text = "Once upon a time, Lily saw a dog.";
  CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
}

}  // namespace
}  // namespace temper
