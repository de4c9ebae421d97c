#include "command/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/units.h"
#include "command/command_line.h"
#include "model/generation.h"
#include "text/stream_decoder.h"
#include "training/setup.h"

namespace rung::command {
namespace {

constexpr size_t kMaxChatBytes = size_t{64} << 20;

ComputeDtype dtype_of(std::string_view name) {
  if (name == "fp32") return ComputeDtype::kFp32;
  return name == "fp16" ? ComputeDtype::kFp16 : ComputeDtype::kBf16;
}

// One prompt, and what its answer is compared with where the file says (a chat that ends in an
// assistant message).
struct Prompt {
  Json messages;
  std::optional<std::string> reference;
};

Prompt prompt_from(Json messages, const std::string& where) {
  if (messages.is_object() && messages.contains("messages")) messages = Json(messages["messages"]);
  if (!messages.is_array() || messages.empty()) {
    throw Error(ExitCode::kConfig, {.what = "a chat is no list of messages",
                                    .expected = R"([{"role": "user", "content": "..."}])",
                                    .where = where});
  }
  for (const Json& message : messages) {
    if (message.is_object() && message.contains("role") && message["role"].is_string() &&
        message.contains("content") && message["content"].is_string()) {
      continue;
    }
    throw Error(ExitCode::kConfig, {.what = "a message of a chat has no text",
                                    .expected = R"({"role": "user", "content": "..."})",
                                    .where = where});
  }
  Prompt prompt;
  const Json& last = messages.back();
  if (last["role"] == "assistant") {
    prompt.reference = last["content"].get<std::string>();
    messages.erase(messages.size() - 1);
  }
  if (messages.empty()) {
    throw Error(
        ExitCode::kConfig,
        {.what = "a chat has nothing to answer", .expected = "a user message", .where = where});
  }
  prompt.messages = std::move(messages);
  return prompt;
}

// A .json file with one chat, or a .jsonl file with one a line.
std::vector<Prompt> read_chats(const std::filesystem::path& path) {
  const std::string text = read_text_file(path, kMaxChatBytes);
  if (path.extension() != ".jsonl")
    return {prompt_from(parse_json(text, path.string()), path.string())};
  std::vector<Prompt> prompts;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Json json = parse_json(line, path.string(), {.first_line = number});
    prompts.push_back(prompt_from(json, fmt::format("{}:{}", path.string(), number)));
  }
  if (prompts.empty()) {
    throw Error(ExitCode::kConfig, {.what = "the file holds no chat", .where = path.string()});
  }
  return prompts;
}

struct GenerateOptions {
  RunConfig run;  // base_model and how it is loaded
  std::optional<std::string> adapter;
  std::vector<Prompt> prompts;
  model::GenerationOptions generation;
  bool json = false;
  bool raw = false;  // the prompt as it is, without the chat template
};

std::vector<Prompt> prompts_of(const cxxopts::ParseResult& parsed) {
  if (parsed.count("prompt") + parsed.count("chat") != 1) {
    throw Error(ExitCode::kUsage, {.what = "rung generate takes one of --prompt and --chat",
                                   .hint = "see `rung generate --help`"});
  }
  if (parsed.count("chat") > 0) return read_chats(parsed["chat"].as<std::string>());
  Json message = {{"role", "user"}, {"content", parsed["prompt"].as<std::string>()}};
  return {{.messages = Json::array({std::move(message)})}};
}

template <typename T>
T in_range(const cxxopts::ParseResult& parsed, const char* name, T low, T high) {
  const T value = parsed[name].as<T>();
  if (value >= low && value <= high) return value;
  throw Error(ExitCode::kUsage, {.what = fmt::format("--{} is out of range", name),
                                 .got = fmt::format("{}", value),
                                 .expected = fmt::format("{} to {}", low, high)});
}

std::optional<GenerateOptions> parse_options(int argc, char** argv) {
  cxxopts::Options parser(
      "rung generate",
      "Answers a prompt, or every chat of a file.\n\n"
      "Examples:\n"
      "  rung generate models/smollm2-135m-instruct --prompt 'What is the capital of France?'\n"
      "  rung generate models/smollm2-135m-instruct --adapter runs/demo --chat heldout.jsonl "
      "--json\n");
  parser.positional_help("MODEL");
  parser.add_options()("model", "model folder, or org/name in the local Hugging Face cache",
                       cxxopts::value<std::string>())("adapter", "adapter folder",
                                                      cxxopts::value<std::string>(), "DIR")(
      "prompt", "one user message", cxxopts::value<std::string>(), "TEXT")(
      "chat",
      "a .json chat, or a .jsonl file with one a line; a last assistant message is kept apart",
      cxxopts::value<std::string>(),
      "FILE")("raw", "the prompt as it is, without the chat template")(
      "max-new-tokens", "", cxxopts::value<int64_t>()->default_value("256"), "N")(
      "temperature", "0 = greedy", cxxopts::value<double>()->default_value("0"), "T")(
      "top-p", "", cxxopts::value<double>()->default_value("1"), "P")(
      "seed", "", cxxopts::value<uint64_t>()->default_value("42"), "S")(
      "dtype", "compute dtype", cxxopts::value<std::string>()->default_value("bf16"),
      "bf16|fp16|fp32")("json", "one JSON object an answer");
  add_base_option(parser);
  parser.parse_positional({"model"});
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return std::nullopt;
  GenerateOptions options;
  options.run.base_model = required(*parsed, "model", "generate");
  const model::BaseFormat base = base_format(*parsed);
  options.run.load_in_4bit = base != model::BaseFormat::kDense;
  options.run.bnb_4bit_use_double_quant = base == model::BaseFormat::kNf4DoubleQuant;
  options.run.compute_dtype = dtype_of(choice(*parsed, "dtype", {"bf16", "fp16", "fp32"}));
  if (parsed->count("adapter") > 0) options.adapter = (*parsed)["adapter"].as<std::string>();
  options.prompts = prompts_of(*parsed);
  options.raw = parsed->count("raw") > 0;
  options.json = parsed->count("json") > 0;
  options.generation.max_new_tokens = in_range<int64_t>(*parsed, "max-new-tokens", 1, 1 << 20);
  options.generation.sampling = {
      .temperature = in_range<double>(*parsed, "temperature", 0.0, 100.0),
      .top_p = in_range<double>(*parsed, "top-p", 0.0, 1.0),
      .seed = (*parsed)["seed"].as<uint64_t>()};
  return options;
}

std::vector<model::TokenIds> encode_prompts(const GenerateOptions& options,
                                            const text::Tokenizer& tokenizer,
                                            const std::filesystem::path& model_dir) {
  std::vector<model::TokenIds> ids;
  std::optional<text::ChatTemplate> chat_template;
  if (!options.raw) chat_template = text::ChatTemplate::from_model(model_dir);
  const text::ChatContext context{.bos_token = tokenizer.bos_token(),
                                  .eos_token = tokenizer.eos_token()};
  for (const Prompt& prompt : options.prompts) {
    ids.push_back(
        chat_template
            ? tokenizer
                  .encode(chat_template->render(prompt.messages, true, context).text,
                          text::SpecialTokens::kOmit)
                  .ids
            : tokenizer
                  .encode(prompt.messages.back().value("content", ""), text::SpecialTokens::kAdd)
                  .ids);
    if (ids.back().empty()) {
      throw Error(ExitCode::kConfig, {.what = "the prompt is empty", .hint = "give it some text"});
    }
  }
  return ids;
}

// A tokenizer may know ids that the model has no embedding for.
void check_ids(const std::vector<model::TokenIds>& prompts, int64_t vocab_size) {
  for (const model::TokenIds& ids : prompts) {
    for (const int32_t id : ids) {
      if (id >= 0 && id < vocab_size) continue;
      throw Error(ExitCode::kConfig,
                  {.what = "the tokenizer gives an id outside the model's vocabulary",
                   .got = fmt::format("{}", id),
                   .expected = fmt::format("0 to {}", vocab_size - 1),
                   .hint = "the tokenizer belongs to another model"});
    }
  }
}

// Leaves the answers as many tokens as the model's context has beside the longest prompt.
int64_t fit_into_context(int64_t max_new_tokens, int64_t longest_prompt,
                         const format::ModelConfig& model) {
  const int64_t context = std::min(model.max_position_embeddings,
                                   model.sliding_window.value_or(model.max_position_embeddings));
  if (longest_prompt >= context) {
    throw Error(ExitCode::kConfig, {.what = "a prompt does not fit into the model's context",
                                    .got = format_counted(longest_prompt, "token"),
                                    .expected = fmt::format("fewer than {}", context)});
  }
  const int64_t room = context - longest_prompt;
  if (max_new_tokens <= room) return max_new_tokens;
  print_notes({fmt::format("answers end after {}: the model's context has {}",
                           format_counted(room, "token"), format_count(context))});
  return room;
}

std::vector<int64_t> stop_ids(const format::ModelConfig& model, const text::Tokenizer& tokenizer) {
  std::vector<int64_t> ids = model.eos_token_ids;
  if (const auto eos = tokenizer.eos_id()) ids.push_back(*eos);
  return ids;
}

void print_json(const std::vector<Prompt>& prompts, const std::vector<model::TokenIds>& answers,
                const text::Tokenizer& tokenizer) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    Json json = {{"messages", prompts[i].messages},
                 {"answer", tokenizer.decode(answers[i], text::SpecialOutput::kSkip)},
                 {"tokens", answers[i].size()}};
    if (prompts[i].reference) json["reference"] = *prompts[i].reference;
    print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
}

void print_text(const std::vector<Prompt>& prompts, const std::vector<model::TokenIds>& answers,
                const text::Tokenizer& tokenizer) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    print(
        fmt::format("--- {}\n{}\n", i + 1,
                    escape_for_terminal(tokenizer.decode(answers[i], text::SpecialOutput::kSkip))));
  }
}

}  // namespace

int run_generate(int argc, char** argv) {
  std::optional<GenerateOptions> options = parse_options(argc, argv);
  if (!options) return static_cast<int>(ExitCode::kOk);
  std::optional<format::AdapterFolder> adapter;
  if (options->adapter) adapter = training::read_saved_adapter(*options->adapter);
  const training::Machine machine = training::open_machine(options->run);
  options->run = training::with_device(options->run, machine);
  const format::ModelFolder folder(format::find_model_folder(options->run.base_model));
  if (folder.config().bnb) options->run.load_in_4bit = true;  // as stored
  const text::Tokenizer tokenizer = text::Tokenizer::load(folder.path());
  const std::vector<model::TokenIds> prompts = encode_prompts(*options, tokenizer, folder.path());
  check_ids(prompts, folder.config().vocab_size);
  int64_t longest = 0;
  for (const model::TokenIds& ids : prompts) {
    longest = std::max(longest, static_cast<int64_t>(ids.size()));
  }
  options->generation.max_new_tokens =
      fit_into_context(options->generation.max_new_tokens, longest, folder.config());
  options->run.sequence_len = longest + options->generation.max_new_tokens;
  options->generation.stop_ids = stop_ids(folder.config(), tokenizer);
  model::Transformer model(folder.config(), &folder,
                           training::model_options(options->run, folder.config()));
  if (adapter) training::attach_saved_adapter(model, *adapter);
  training::use_resident_weights(model, machine);
  options->generation.max_cache_bytes = training::cache_budget(machine);

  text::StreamDecoder stream(tokenizer, text::SpecialOutput::kSkip);
  const bool streamed = prompts.size() == 1 && !options->json;
  if (streamed) {
    options->generation.on_token = [&](size_t, int32_t token) {
      print(escape_for_terminal(stream.push(token)));
      return true;
    };
  }
  const std::vector<model::TokenIds> answers = model::generate(model, prompts, options->generation);
  if (streamed) {
    print(escape_for_terminal(stream.finish()) + "\n");
  } else if (options->json) {
    print_json(options->prompts, answers, tokenizer);
  } else {
    print_text(options->prompts, answers, tokenizer);
  }
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
