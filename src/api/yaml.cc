#include "api/yaml.h"

#include <libfyaml.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <unordered_set>

#include "api/json_value.h"
#include "api/quote.h"
#include "api/yaml_scalar.h"

namespace gantry::api {
namespace {

constexpr size_t kMaxDepth = 1000;
constexpr char kTooDeep[] = "exceeded max depth of 1000";
// What aliases may add to a document.
constexpr size_t kMaxAliasedBytes = 8 << 20;
// What anchors, also nested ones, may keep.
constexpr size_t kMaxAnchoredBytes = 64 << 20;
constexpr size_t kBytesPerNode = 64;
constexpr char kExcessiveAliasing[] =
    "error converting YAML to JSON: yaml: document contains excessive aliasing";

struct Freer {
  void operator()(fy_diag* diag) const { fy_diag_destroy(diag); }
  void operator()(fy_parser* parser) const { fy_parser_destroy(parser); }
};

// How go-yaml words what libfyaml reports, and what it counts as the line.
struct Wording {
  std::string_view found;
  std::string_view told;
  int line_offset;  // 0 is what the user counts from 1
};
constexpr std::array<Wording, 9> kWordings = {{
    {"invalid nested block mapping on the same line",
     "mapping values are not allowed in this context", 0},
    {"invalid multiline plain key", "mapping values are not allowed in this context", 1},
    {"tab character", "found character that cannot start any token", 0},
    {"plain scalar cannot start with", "found character that cannot start any token", 0},
    {"flow sequence without a closing bracket", "did not find expected ',' or ']'", -1},
    {"missing comma in flow mapping", "did not find expected ',' or '}'", -1},
    {"invalid scalar at the end of block sequence", "did not find expected '-' indicator", -1},
    {"scalar without closing quote", "found unexpected end of stream", 0},
    {"invalid escape", "found unknown escape character", 0},
}};

std::string AtLine(int line, std::string_view problem) {
  std::string text = "error converting YAML to JSON: yaml: ";
  if (line > 1) text += "line " + std::to_string(line) + ": ";
  return text + std::string(problem);
}

std::string_view TextOf(fy_token* token) {
  size_t length = 0;
  const char* text = token != nullptr ? fy_token_get_text(token, &length) : nullptr;
  return text != nullptr ? std::string_view(text, length) : std::string_view();
}

int LineOf(fy_token* token) {
  const fy_mark* mark = token != nullptr ? fy_token_start_mark(token) : nullptr;
  return mark != nullptr ? mark->line + 1 : 1;
}

// The text of a single-quoted scalar as it stands in the input: doubled quotes are one, line breaks
// are folded.
std::string UnquoteSingle(std::string_view raw) {
  std::string out;
  for (size_t i = 0; i < raw.size();) {
    if (raw[i] == '\'') {
      out += '\'';
      i += 2;
    } else if (raw[i] == '\n' || raw[i] == '\r') {
      out.erase(out.find_last_not_of(" \t") + 1);
      size_t breaks = 0;
      for (;
           i < raw.size() && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r');
           ++i) {
        breaks += raw[i] == '\n' ? 1 : 0;
      }
      out += breaks > 1 ? std::string(breaks - 1, '\n') : " ";
    } else {
      out += raw[i++];
    }
  }
  return out;
}

// What an alias to the value adds.
struct Extent {
  size_t bytes = kBytesPerNode;
  size_t depth = 0;

  void Include(const Extent& inner) {
    bytes += inner.bytes;
    depth = std::max(depth, inner.depth + 1);
  }
};

Extent ExtentOf(const JsonValue& value) {
  Extent extent;
  if (value.is_string()) extent.bytes += value.as_string().size();
  if (value.is_array()) {
    for (const JsonValue& item : value.as_array())
      extent.Include(ExtentOf(item));
  }
  if (value.is_object()) {
    for (const auto& [name, member] : value.as_object()) {
      extent.bytes += name.size();
      extent.Include(ExtentOf(member));
    }
  }
  return extent;
}

// What YAML does not take anywhere; libfyaml may not return when it meets it. Empty when all is
// well.
std::string_view CheckCharacters(std::string_view text) {
  while (!text.empty()) {
    Utf8Rune decoded = DecodeUtf8(text);
    if (decoded.length == 0) return "invalid leading UTF-8 octet";
    char32_t rune = decoded.rune;
    bool allowed = rune == '\t' || rune == '\n' || rune == '\r' || (rune >= 0x20 && rune <= 0x7e) ||
                   rune == 0x85 || (rune >= 0xa0 && rune != 0xfffe && rune != 0xffff);
    if (!allowed) return "control characters are not allowed";
    text.remove_prefix(static_cast<size_t>(decoded.length));
  }
  return {};
}

// Makes JSON values of a stream of YAML events.
class Reader {
 public:
  explicit Reader(std::string_view text) : input_(text) {
    fy_diag_cfg diag_config{};
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = nullptr;
    diag_config.output_fn = [](fy_diag*, void*, const char*, size_t) {};
    diag_.reset(fy_diag_create(&diag_config));
    fy_diag_set_collect_errors(diag_.get(), true);
    fy_parse_cfg config{};
    config.flags = static_cast<fy_parse_cfg_flags>(
        FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DISABLE_DEPTH_LIMIT | FYPCF_DEFAULT_VERSION_1_1 |
        FYPCF_SLOPPY_FLOW_INDENTATION | FYPCF_JSON_NONE);
    config.diag = diag_.get();
    parser_.reset(fy_parser_create(&config));
    if (parser_ == nullptr || fy_parser_set_string(parser_.get(), text.data(), text.size()) != 0) {
      error_ = "out of memory";
    }
  }

  Result<std::vector<std::string>> Documents() {
    std::vector<std::string> documents;
    while (error_.empty()) {
      fy_event* event = fy_parser_parse(parser_.get());
      if (event == nullptr) break;
      Handle(*event);
      bool complete = event->type == FYET_DOCUMENT_END;
      fy_parser_event_free(parser_.get(), event);
      if (!complete || !error_.empty()) continue;
      if (!root_.is_null()) documents.push_back(root_.ToString());
      root_ = nullptr;
      anchors_.clear();
      aliased_ = 0;
      anchored_ = 0;
    }
    if (error_.empty() && fy_parser_get_stream_error(parser_.get())) error_ = ParserError();
    if (!error_.empty()) return BadRequest(error_);
    return documents;
  }

 private:
  // A collection that is being read.
  struct Frame {
    bool mapping = false;
    std::string anchor;
    JsonValue::Array items;
    JsonValue::Object members;
    std::unordered_set<std::string> names;
    bool has_key = false;  // of a mapping: the next value belongs to `key`
    bool merges = false;   // the key is <<
    std::string key;
    std::vector<JsonValue> merged;
  };

  void Handle(const fy_event& event) {
    switch (event.type) {
      case FYET_SCALAR:
        Scalar(event.scalar);
        break;
      case FYET_ALIAS:
        Alias(event.alias.anchor);
        break;
      case FYET_SEQUENCE_START:
        Open(false, event.sequence_start.anchor, event.sequence_start.sequence_start);
        break;
      case FYET_MAPPING_START:
        Open(true, event.mapping_start.anchor, event.mapping_start.mapping_start);
        break;
      case FYET_SEQUENCE_END:
      case FYET_MAPPING_END:
        Close();
        break;
      default:
        break;
    }
  }

  void Fail(int line, std::string_view problem) {
    if (error_.empty()) error_ = AtLine(line, problem);
  }

  void Scalar(const fy_event_scalar_data& scalar) {
    fy_scalar_style style =
        scalar.value == nullptr ? FYSS_PLAIN : fy_token_scalar_style(scalar.value);
    bool plain = style == FYSS_PLAIN;
    std::string unquoted;
    std::string_view text;
    if (style == FYSS_SINGLE_QUOTED) {
      unquoted = SingleQuoted(scalar.value);
      text = unquoted;
    } else {
      text = TextOf(scalar.value);
    }
    std::string_view tag = TextOf(scalar.tag);
    int line = LineOf(scalar.value);
    if (!frames_.empty() && frames_.back().mapping && !frames_.back().has_key) {
      Key(text, plain && tag.empty(), line);
      return;
    }
    JsonValue value = plain && tag.empty() ? ResolvePlainYaml(text) : JsonValue(text);
    if (!tag.empty() && tag.starts_with("tag:yaml.org,2002:")) {
      tag.remove_prefix(std::string_view("tag:yaml.org,2002:").size());
      if (tag == "int" || tag == "float" || tag == "bool" || tag == "null") {
        value = ResolvePlainYaml(text);
        bool fits = tag == "int"     ? value.is_int()
                    : tag == "float" ? value.is_number()
                    : tag == "bool"  ? value.is_bool()
                                     : value.is_null();
        if (!fits) {
          Fail(line, "cannot decode !!str `" + std::string(text.substr(0, 10)) + "` as a !!" +
                         std::string(tag));
        }
        if (tag == "float" && value.is_int()) value = value.as_double();
      }
    }
    if (value.is_double() && !std::isfinite(value.as_double())) {
      error_ = std::string("error converting YAML to JSON: json: unsupported value: ") +
               (std::isnan(value.as_double()) ? "NaN"
                : value.as_double() > 0       ? "+Inf"
                                              : "-Inf");
      return;
    }
    Add(std::string(TextOf(scalar.anchor)), std::move(value));
  }

  // libfyaml 0.7 garbles and leaks single-quoted text with two escaped quotes in a row: it is read
  // from the input. The marks stand inside the quotes.
  std::string SingleQuoted(fy_token* token) const {
    const fy_mark* start = fy_token_start_mark(token);
    const fy_mark* end = fy_token_end_mark(token);
    if (start == nullptr || end == nullptr || end->input_pos > input_.size() ||
        start->input_pos > end->input_pos) {
      return std::string(TextOf(token));
    }
    return UnquoteSingle(input_.substr(start->input_pos, end->input_pos - start->input_pos));
  }

  void Key(std::string_view text, bool plain, int line) {
    Frame& frame = frames_.back();
    frame.has_key = true;
    frame.merges = plain && text == "<<";
    if (frame.merges) return;
    frame.key = text;
    if (plain) {
      JsonValue resolved = ResolvePlainYaml(text);
      if (resolved.is_null()) {
        error_ = "error converting YAML to JSON: unsupported map key of type: nil";
        return;
      }
      if (!resolved.is_string()) frame.key = resolved.ToString();
    }
    if (!frame.names.insert(frame.key).second) {
      error_ = "error converting YAML to JSON: yaml: unmarshal errors:\n  line " +
               std::to_string(line) + ": key " + GoQuote(frame.key) + " already set in map";
    }
  }

  void Alias(fy_token* token) {
    std::string name(TextOf(token));
    auto anchor = anchors_.find(name);
    if (anchor == anchors_.end()) {
      bool open = std::any_of(frames_.begin(), frames_.end(),
                              [&](const Frame& frame) { return frame.anchor == name; });
      error_ = "error converting YAML to JSON: yaml: " +
               (open ? "anchor '" + name + "' value contains itself"
                     : "unknown anchor '" + name + "' referenced");
      return;
    }
    const auto& [value, extent] = anchor->second;
    if (frames_.size() + extent.depth >= kMaxDepth) {
      Fail(LineOf(token), kTooDeep);
      return;
    }
    aliased_ += extent.bytes;
    if (aliased_ > kMaxAliasedBytes) {
      error_ = kExcessiveAliasing;
      return;
    }
    if (!frames_.empty() && frames_.back().mapping && !frames_.back().has_key) {
      if (value.is_string()) {
        Key(value.as_string(), false, LineOf(token));
      } else {
        Fail(LineOf(token), "invalid map key");
      }
      return;
    }
    Add("", value);
  }

  void Open(bool mapping, fy_token* anchor, fy_token* start) {
    if (frames_.size() >= kMaxDepth) {
      Fail(LineOf(start), kTooDeep);
      return;
    }
    if (!frames_.empty() && frames_.back().mapping && !frames_.back().has_key) {
      Fail(LineOf(start), "invalid map key");
      return;
    }
    Frame& frame = frames_.emplace_back();
    frame.mapping = mapping;
    frame.anchor = TextOf(anchor);
  }

  void Close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (!frame.mapping) {
      Add(frame.anchor, std::move(frame.items));
      return;
    }
    // What the mapping says itself goes before what it merges, and of that the first.
    for (JsonValue& source : frame.merged) {
      for (auto& member : source.as_object()) {
        if (frame.names.insert(member.first).second) frame.members.push_back(std::move(member));
      }
    }
    Add(frame.anchor, std::move(frame.members));
  }

  void Add(const std::string& anchor, JsonValue value) {
    if (!anchor.empty()) {
      Extent extent = ExtentOf(value);
      anchored_ += extent.bytes;
      if (anchored_ > kMaxAnchoredBytes) {
        error_ = kExcessiveAliasing;
        return;
      }
      anchors_[anchor] = {value, extent};
    }
    if (frames_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = frames_.back();
    if (!frame.mapping) {
      frame.items.push_back(std::move(value));
      return;
    }
    frame.has_key = false;
    if (!frame.merges) {
      frame.members.emplace_back(std::move(frame.key), std::move(value));
      return;
    }
    JsonValue::Array sources;
    if (value.is_array()) {
      sources = std::move(value.as_array());
    } else {
      sources.push_back(std::move(value));
    }
    for (JsonValue& source : sources) {
      if (!source.is_object()) {
        error_ =
            "error converting YAML to JSON: yaml: map merge requires map or sequence of maps as "
            "the value";
        return;
      }
      frame.merged.push_back(std::move(source));
    }
  }

  std::string ParserError() {
    void* iterator = nullptr;
    while (fy_diag_error* error = fy_diag_errors_iterate(diag_.get(), &iterator)) {
      if (error->type != FYET_ERROR) continue;
      std::string_view message = error->msg != nullptr ? error->msg : "";
      for (const Wording& wording : kWordings) {
        if (message.find(wording.found) != std::string_view::npos) {
          return AtLine(error->line + wording.line_offset, wording.told);
        }
      }
      return AtLine(error->line, message);
    }
    return AtLine(0, "malformed document");
  }

  std::string_view input_;
  std::unique_ptr<fy_diag, Freer> diag_;
  std::unique_ptr<fy_parser, Freer> parser_;
  std::vector<Frame> frames_;
  std::map<std::string, std::pair<JsonValue, Extent>> anchors_;
  size_t aliased_ = 0;
  size_t anchored_ = 0;
  JsonValue root_;
  std::string error_;
};

}  // namespace

Result<std::vector<std::string>> YamlToJson(std::string_view yaml) {
  if (yaml.starts_with("\xef\xbb\xbf")) yaml.remove_prefix(3);
  if (std::string_view problem = CheckCharacters(yaml); !problem.empty()) {
    return BadRequest(AtLine(0, problem));
  }
  return Reader(yaml).Documents();
}

}  // namespace gantry::api
