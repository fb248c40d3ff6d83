#include <algorithm>
#include <cctype>
#include <map>

#include "cli/client/describe_page.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

// Shown above the tree, or not at all.
constexpr std::string_view kLeftOut[] = {".metadata.managedFields", ".metadata.name",
                                         ".metadata.namespace", ".metadata.labels",
                                         ".metadata.annotations"};
constexpr std::string_view kAcronyms[] = {"API", "URL", "UID", "OSB", "GUID"};

bool IsUpper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }
bool IsLower(char c) { return std::islower(static_cast<unsigned char>(c)) != 0; }

// "leaseDurationSeconds" -> "lease", "Duration", "Seconds"; "podIPs" -> "pod", "I", "Ps"
std::vector<std::string> WordsOf(const std::string& field) {
  std::vector<std::string> words;
  for (size_t i = 0; i < field.size(); ++i) {
    const bool follows = i > 0 && IsUpper(field[i]) == IsUpper(field[i - 1]);
    const bool capital = i > 0 && IsLower(field[i]) && IsUpper(field[i - 1]);
    if (follows || (capital && words.back().size() == 1)) {
      words.back() += field[i];
    } else if (capital) {
      // The last letter of a run of capitals begins the word that follows.
      const char first = words.back().back();
      words.back().pop_back();
      words.push_back({first, field[i]});
    } else {
      words.emplace_back(1, field[i]);
    }
  }
  return words;
}

std::string TitleOf(const std::string& field) {
  const bool plain = std::all_of(field.begin(), field.end(),
                                 [](char c) { return IsUpper(c) || IsLower(c) || c == '-'; });
  if (!plain) return field;
  std::vector<std::string> words = WordsOf(field);
  for (std::string& word : words) {
    std::string upper = word;
    for (char& c : upper)
      c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const bool acronym =
        std::find(std::begin(kAcronyms), std::end(kAcronyms), upper) != std::end(kAcronyms);
    word = acronym ? upper : upper.substr(0, 1) + word.substr(1);
  }
  return JoinText(words, " ");
}

void AddTree(const JsonValue& value, const std::string& path, size_t level, Page* page) {
  std::map<std::string, const JsonValue*> sorted;
  for (const auto& [name, member] : value.as_object())
    sorted[name] = &member;
  for (const auto& [name, member] : sorted) {
    const std::string here = path + "." + name;
    if (std::find(std::begin(kLeftOut), std::end(kLeftOut), here) != std::end(kLeftOut)) continue;
    const std::string title = TitleOf(name) + ":";
    if (member->is_object()) {
      page->Line(level, {title});
      AddTree(*member, here, level + 1, page);
    } else if (member->is_array()) {
      page->Line(level, {title});
      for (const JsonValue& item : member->as_array()) {
        if (item.is_object())
          AddTree(item, here, level + 1, page);
        else
          page->Line(level + 1, {ScalarText(item)});
      }
    } else {
      page->Line(level, {title, ScalarText(*member)});
    }
  }
}

}  // namespace

void DescribeOther(const Described& what, Page* page) {
  AddIdentity(what.object, page);
  AddTree(what.object, "", 0, page);
}

}  // namespace gantry::cli
