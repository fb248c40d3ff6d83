#include "api/selector.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "api/field_error.h"
#include "api/formats.h"
#include "api/meta/v1/selector.pb.h"
#include "api/quote.h"

namespace gantry::api {
namespace {

using Op = Selector::Op;
using Requirement = Selector::Requirement;

std::optional<int64_t> ParseInt(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string joined;
  for (const std::string& part : parts) {
    if (&part != &parts.front()) joined += separator;
    joined += part;
  }
  return joined;
}

std::string InvalidText(std::string_view bad_value, const std::vector<std::string>& complaints) {
  return "Invalid value: " + GoQuote(bad_value) + ": " + Join(complaints, "; ");
}

std::string JsonList(const std::vector<std::string>& values) {
  std::string json = "[";
  for (const std::string& value : values) {
    if (&value != &values.front()) json += ',';
    AppendJsonString(value, &json);
  }
  return json + "]";
}

// A requirement as labels.NewRequirement checks it. `values` become sorted.
Result<Requirement> MakeRequirement(std::string_view key, Op op, std::vector<std::string> values) {
  FieldErrors errors;
  auto invalid = [&](std::string field, std::string message) {
    errors.push_back({FieldError::Type::kInvalid, std::move(field), std::move(message)});
  };
  auto wrong_count = [&](std::string_view detail) {
    invalid("values", "Invalid value: " + JsonList(values) + ": " + std::string(detail));
  };
  if (Complaints complaints = IsQualifiedName(key); !complaints.empty())
    invalid("key", InvalidText(key, complaints));
  switch (op) {
    case Op::kIn:
    case Op::kNotIn:
      if (values.empty()) wrong_count("for 'in', 'notin' operators, values set can't be empty");
      break;
    case Op::kEquals:
    case Op::kNotEquals:
      if (values.size() != 1) wrong_count("exact-match compatibility requires one single value");
      break;
    case Op::kExists:
    case Op::kDoesNotExist:
      if (!values.empty()) wrong_count("values set must be empty for exists and does not exist");
      break;
    case Op::kGreaterThan:
    case Op::kLessThan:
      if (values.size() != 1)
        wrong_count("for 'Gt', 'Lt' operators, exactly one value is required");
      for (size_t i = 0; i < values.size(); ++i) {
        if (ParseInt(values[i])) continue;
        invalid("values[" + std::to_string(i) + "]",
                "Invalid value: " + GoQuote(values[i]) +
                    ": for 'Gt', 'Lt' operators, the value must be an integer");
      }
      break;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (Complaints complaints = IsLabelValue(values[i]); !complaints.empty()) {
      invalid("values[" + std::to_string(i) + "][" + std::string(key) + "]",
              InvalidText(values[i], complaints));
    }
  }
  if (!errors.empty()) return BadRequest(JoinErrors(errors));
  std::sort(values.begin(), values.end());
  return Requirement{std::string(key), op, std::move(values)};
}

// Keeps the order of requirements on the same key.
void SortByKey(std::vector<Requirement>* requirements) {
  auto less = [](const Requirement& a, const Requirement& b) { return a.key < b.key; };
  for (auto it = requirements->begin(); it != requirements->end(); ++it) {
    std::rotate(std::upper_bound(requirements->begin(), it, *it, less), it, it + 1);
  }
}

enum class Token : uint8_t {
  kError,
  kEnd,
  kClose,
  kComma,
  kNot,
  kEquals,
  kDoubleEquals,
  kNotEquals,
  kGreater,
  kLess,
  kIn,
  kNotIn,
  kOpen,
  kIdentifier,
};
struct TokenText {
  std::string_view text;
  Token token;
};
constexpr std::array<TokenText, 11> kTokens = {{
    {")", Token::kClose},
    {",", Token::kComma},
    {"!", Token::kNot},
    {"=", Token::kEquals},
    {"==", Token::kDoubleEquals},
    {"!=", Token::kNotEquals},
    {">", Token::kGreater},
    {"<", Token::kLess},
    {"in", Token::kIn},
    {"notin", Token::kNotIn},
    {"(", Token::kOpen},
}};

Token TokenOf(std::string_view text) {
  for (const TokenText& candidate : kTokens) {
    if (candidate.text == text) return candidate.token;
  }
  return Token::kIdentifier;
}

struct Item {
  Token token = Token::kEnd;
  std::string literal;
};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool IsSymbol(char c) { return std::string_view("=!(),><").find(c) != std::string_view::npos; }

std::vector<Item> Scan(std::string_view text) {
  std::vector<Item> items;
  size_t pos = 0;
  // A NUL ends the text.
  text = text.substr(0, text.find('\0'));
  while (true) {
    while (pos < text.size() && IsSpace(text[pos]))
      ++pos;
    if (pos == text.size()) break;
    size_t start = pos;
    if (!IsSymbol(text[pos])) {
      while (pos < text.size() && !IsSymbol(text[pos]) && !IsSpace(text[pos]))
        ++pos;
      std::string_view word = text.substr(start, pos - start);
      items.push_back({TokenOf(word), std::string(word)});
      continue;
    }
    // The longest run of symbols that is a token; no token is longer than two and each symbol alone
    // is one.
    size_t length =
        pos + 1 < text.size() && TokenOf(text.substr(pos, 2)) != Token::kIdentifier ? 2 : 1;
    std::string_view symbol = text.substr(start, length);
    items.push_back({TokenOf(symbol), std::string(symbol)});
    pos += length;
  }
  items.emplace_back();
  return items;
}

class SelectorParser {
 public:
  explicit SelectorParser(std::string_view text) : items_(Scan(text)) {}

  Result<std::vector<Requirement>> Parse() {
    std::vector<Requirement> requirements;
    while (true) {
      const Item& next = Peek();
      if (Is(next, Token::kEnd)) return requirements;
      if (!IsWord(next) && !Is(next, Token::kNot)) {
        return Found(next, ", expected: !, identifier, or 'end of string'");
      }
      Result<Requirement> requirement = One();
      if (!requirement.ok()) {
        return BadRequest("unable to parse requirement: " + requirement.status().message());
      }
      requirements.push_back(*std::move(requirement));
      const Item& separator = Take();
      if (Is(separator, Token::kEnd)) return requirements;
      if (!Is(separator, Token::kComma))
        return Found(separator, ", expected: ',' or 'end of string'");
      if (!IsWord(Peek()) && !Is(Peek(), Token::kNot))
        return Found(Peek(), ", expected: identifier after ','");
    }
  }

 private:
  static bool Is(const Item& item, Token token) { return item.token == token; }
  // "in" and "notin" may be keys and values.
  static bool IsWord(const Item& item) {
    return item.token == Token::kIdentifier || item.token == Token::kIn ||
           item.token == Token::kNotIn;
  }
  static Status Found(const Item& item, std::string_view expected) {
    return BadRequest("found '" + item.literal + "'" + std::string(expected));
  }

  const Item& Peek() const { return items_[pos_]; }
  const Item& Take() {
    const Item& item = items_[pos_];
    if (pos_ + 1 < items_.size()) ++pos_;
    return item;
  }

  Result<Requirement> One() {
    bool negated = Is(Peek(), Token::kNot);
    if (negated) Take();
    const Item& key = Take();
    if (!IsWord(key)) return Found(key, ", expected: identifier");
    if (Complaints complaints = IsQualifiedName(key.literal); !complaints.empty()) {
      return BadRequest("<nil>: " + InvalidText(key.literal, complaints));
    }
    if (negated) return MakeRequirement(key.literal, Op::kDoesNotExist, {});
    if (Is(Peek(), Token::kEnd) || Is(Peek(), Token::kComma))
      return MakeRequirement(key.literal, Op::kExists, {});
    const Item& op = Take();
    switch (op.token) {
      case Token::kIn:
        return WithValues(key.literal, Op::kIn);
      case Token::kNotIn:
        return WithValues(key.literal, Op::kNotIn);
      case Token::kEquals:
      case Token::kDoubleEquals:
        return WithValue(key.literal, Op::kEquals);
      case Token::kNotEquals:
        return WithValue(key.literal, Op::kNotEquals);
      case Token::kGreater:
        return WithValue(key.literal, Op::kGreaterThan);
      case Token::kLess:
        return WithValue(key.literal, Op::kLessThan);
      default:
        return Found(op, ", expected: in, notin, =, ==, !=, gt, lt");
    }
  }

  Result<Requirement> WithValue(const std::string& key, Op op) {
    if (Is(Peek(), Token::kEnd) || Is(Peek(), Token::kComma)) return MakeRequirement(key, op, {""});
    const Item& value = Take();
    if (!IsWord(value)) return Found(value, ", expected: identifier");
    return MakeRequirement(key, op, {value.literal});
  }

  Result<Requirement> WithValues(const std::string& key, Op op) {
    const Item& open = Take();
    if (!Is(open, Token::kOpen)) return Found(open, " expected: '('");
    std::vector<std::string> values;
    const Item& first = Peek();
    if (Is(first, Token::kClose)) {
      values.emplace_back();
    } else if (IsWord(first) || Is(first, Token::kComma)) {
      GANTRY_TRY(List(&values));
    } else {
      return Found(first, ", expected: ',', ')' or identifier");
    }
    if (!Is(Take(), Token::kClose)) return Found(first, ", expected: ')'");
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return MakeRequirement(key, op, std::move(values));
  }

  // Up to the closing parenthesis. A missing value between commas is the empty one.
  Status List(std::vector<std::string>* values) {
    while (true) {
      const Item& item = Take();
      if (IsWord(item)) {
        values->push_back(item.literal);
        if (Is(Peek(), Token::kComma)) continue;
        if (Is(Peek(), Token::kClose)) return Status::Ok();
        return Found(Peek(), ", expected: ',' or ')'");
      }
      if (!Is(item, Token::kComma)) return Found(item, ", expected: ',', or identifier");
      if (values->empty()) values->emplace_back();
      if (Is(Peek(), Token::kClose)) {
        values->emplace_back();
        return Status::Ok();
      }
      if (Is(Peek(), Token::kComma)) {
        Take();
        values->emplace_back();
      }
    }
  }

  std::vector<Item> items_;
  size_t pos_ = 0;
};

void AppendRequirement(const Requirement& requirement, std::string* out) {
  if (requirement.op == Op::kDoesNotExist) out->push_back('!');
  *out += requirement.key;
  switch (requirement.op) {
    case Op::kIn:
      *out += " in (" + Join(requirement.values, ",") + ")";
      break;
    case Op::kNotIn:
      *out += " notin (" + Join(requirement.values, ",") + ")";
      break;
    case Op::kEquals:
      *out += "=" + requirement.values[0];
      break;
    case Op::kNotEquals:
      *out += "!=" + requirement.values[0];
      break;
    case Op::kGreaterThan:
      *out += ">" + requirement.values[0];
      break;
    case Op::kLessThan:
      *out += "<" + requirement.values[0];
      break;
    case Op::kExists:
    case Op::kDoesNotExist:
      break;
  }
}

Result<std::string> Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ',' || text[i] == '=') {
      return BadRequest("invalid field selector: unescaped character in value: " +
                        std::string(1, text[i]));
    }
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    ++i;
    if (i == text.size()) return BadRequest("invalid field selector: invalid escape sequence: \\");
    if (text[i] != '\\' && text[i] != ',' && text[i] != '=') {
      return BadRequest("invalid field selector: invalid escape sequence: \\" +
                        std::string(1, text[i]));
    }
    out.push_back(text[i]);
  }
  return out;
}

std::string Escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == ',' || c == '=') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

// Cuts at commas that are not escaped.
std::vector<std::string_view> SplitTerms(std::string_view text) {
  std::vector<std::string_view> terms;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == ',') {
      terms.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  terms.push_back(text.substr(start));
  return terms;
}

}  // namespace

bool Selector::Requirement::Matches(const LabelMap& labels) const {
  auto label = labels.find(key);
  bool has = label != labels.end();
  switch (op) {
    case Op::kExists:
      return has;
    case Op::kDoesNotExist:
      return !has;
    case Op::kEquals:
    case Op::kIn:
      return has && std::find(values.begin(), values.end(), label->second) != values.end();
    case Op::kNotEquals:
    case Op::kNotIn:
      return !has || std::find(values.begin(), values.end(), label->second) == values.end();
    case Op::kGreaterThan:
    case Op::kLessThan: {
      if (!has || values.size() != 1) return false;
      std::optional<int64_t> have = ParseInt(label->second);
      std::optional<int64_t> bound = ParseInt(values[0]);
      if (!have || !bound) return false;
      return op == Op::kGreaterThan ? *have > *bound : *have < *bound;
    }
  }
  return false;
}

Selector Selector::Nothing() {
  Selector selector;
  selector.nothing_ = true;
  return selector;
}

Result<Selector> Selector::Parse(std::string_view text) {
  Selector selector;
  GANTRY_ASSIGN(selector.requirements_, SelectorParser(text).Parse());
  SortByKey(&selector.requirements_);
  return selector;
}

Result<Selector> Selector::From(const meta::v1::LabelSelector& from) {
  Selector selector;
  for (const auto& [key, value] : from.match_labels()) {
    GANTRY_ASSIGN(Requirement requirement, MakeRequirement(key, Op::kEquals, {value}));
    selector.requirements_.push_back(std::move(requirement));
  }
  for (const auto& expression : from.match_expressions()) {
    Op op = Op::kIn;
    if (expression.operator_() == "NotIn") {
      op = Op::kNotIn;
    } else if (expression.operator_() == "Exists") {
      op = Op::kExists;
    } else if (expression.operator_() == "DoesNotExist") {
      op = Op::kDoesNotExist;
    } else if (expression.operator_() != "In") {
      return BadRequest(GoQuote(expression.operator_()) +
                        " is not a valid label selector operator");
    }
    std::vector<std::string> values(expression.values().begin(), expression.values().end());
    GANTRY_ASSIGN(Requirement requirement,
                  MakeRequirement(expression.key(), op, std::move(values)));
    selector.requirements_.push_back(std::move(requirement));
  }
  SortByKey(&selector.requirements_);
  return selector;
}

Selector Selector::FromMap(const LabelMap& labels) {
  Selector selector;
  for (const auto& [key, value] : labels)
    selector.requirements_.push_back({key, Op::kEquals, {value}});
  SortByKey(&selector.requirements_);
  return selector;
}

bool Selector::Matches(const LabelMap& labels) const {
  if (nothing_) return false;
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& requirement) { return requirement.Matches(labels); });
}

Selector Selector::And(const Selector& other) const {
  Selector both = *this;
  both.requirements_.insert(both.requirements_.end(), other.requirements_.begin(),
                            other.requirements_.end());
  SortByKey(&both.requirements_);
  both.nothing_ = nothing_ || other.nothing_;
  return both;
}

std::string Selector::ToString() const {
  std::string out;
  for (const Requirement& requirement : requirements_) {
    if (!out.empty()) out.push_back(',');
    AppendRequirement(requirement, &out);
  }
  return out;
}

const std::string* Selector::RequiredValue(std::string_view key) const {
  for (const Requirement& requirement : requirements_) {
    bool exact = requirement.op == Op::kEquals || requirement.op == Op::kIn;
    if (requirement.key == key && exact && requirement.values.size() == 1)
      return &requirement.values[0];
  }
  return nullptr;
}

Result<FieldSelector> FieldSelector::Parse(std::string_view text) {
  FieldSelector selector;
  for (std::string_view term : SplitTerms(text)) {
    if (term.empty()) continue;
    size_t at = 0;
    while (at < term.size() && term[at] != '=' && term.substr(at, 2) != "!=")
      ++at;
    if (at == term.size()) {
      return BadRequest("invalid selector: '" + std::string(text) + "'; can't understand '" +
                        std::string(term) + "'");
    }
    Op op = term[at] == '!' ? Op::kNotEquals : Op::kEquals;
    size_t length = term[at] == '!' || term.substr(at, 2) == "==" ? 2 : 1;
    GANTRY_ASSIGN(std::string value, Unescape(term.substr(at + length)));
    selector.requirements_.push_back({std::string(term.substr(0, at)), op, std::move(value)});
  }
  return selector;
}

bool FieldSelector::Matches(
    const std::function<std::string(std::string_view field)>& value_of) const {
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& requirement) {
                       return (value_of(requirement.field) == requirement.value) ==
                              (requirement.op == Op::kEquals);
                     });
}

std::string FieldSelector::ToString() const {
  std::string out;
  for (const Requirement& requirement : requirements_) {
    if (!out.empty()) out.push_back(',');
    out += requirement.field + (requirement.op == Op::kEquals ? "=" : "!=") +
           Escape(requirement.value);
  }
  return out;
}

const std::string* FieldSelector::RequiredValue(std::string_view field) const {
  for (const Requirement& requirement : requirements_) {
    if (requirement.field == field && requirement.op == Op::kEquals) return &requirement.value;
  }
  return nullptr;
}

}  // namespace gantry::api
