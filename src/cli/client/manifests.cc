#include "cli/client/manifests.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "api/yaml.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"

namespace gantry::cli {
namespace fs = std::filesystem;

namespace {

Status NotValid(const std::string& source, const std::string& what) {
  return LocalError("error validating \"" + source + "\": error validating data: " + what);
}

Status AddText(const std::string& text, const std::string& source, std::vector<Manifest>* out) {
  Result<std::vector<std::string>> documents = api::YamlToJson(text);
  if (!documents.ok())
    return LocalError("error parsing " + source + ": " + documents.status().message());
  for (const std::string& document : *documents) {
    Result<api::JsonValue> object = api::JsonValue::Parse(document);
    if (!object.ok())
      return LocalError("error parsing " + source + ": " + object.status().message());
    if (object->is_null()) continue;
    if (TextAt(*object, "kind").empty()) {
      return NotValid(source, "kind not set");
    }
    if (TextAt(*object, "apiVersion").empty()) {
      return NotValid(source, "apiVersion not set");
    }
    const api::JsonValue* items = object->Find("items");
    if (TextAt(*object, "kind").ends_with("List") && items != nullptr && items->is_array()) {
      for (const api::JsonValue& item : items->as_array())
        out->push_back({item, source});
    } else {
      out->push_back({std::move(*object), source});
    }
  }
  return Status::Ok();
}

Status AddFile(const std::string& path, std::vector<Manifest>* out) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (!file || !(text << file.rdbuf())) {
    std::error_code error;
    if (fs::is_empty(path, error) && !error) return Status::Ok();
    return LocalError("the path \"" + path + "\" cannot be read");
  }
  return AddText(text.str(), path, out);
}

bool IsManifestName(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".json" || extension == ".yaml" || extension == ".yml";
}

}  // namespace

Result<std::vector<Manifest>> ReadManifests(const std::vector<std::string>& names, bool recursive) {
  std::vector<Manifest> out;
  for (const std::string& name : names) {
    if (name == "-") {
      std::stringstream text;
      text << std::cin.rdbuf();
      GANTRY_TRY(AddText(text.str(), "STDIN", &out));
      continue;
    }
    std::error_code error;
    if (!fs::exists(name, error)) return LocalError("the path \"" + name + "\" does not exist");
    if (!fs::is_directory(name, error)) {
      GANTRY_TRY(AddFile(name, &out));
      continue;
    }
    std::vector<std::string> files;
    for (fs::recursive_directory_iterator at(name, error), end; !error && at != end;
         at.increment(error)) {
      if (at->is_directory(error) && !recursive) at.disable_recursion_pending();
      if (at->is_regular_file(error) && IsManifestName(at->path()))
        files.push_back(at->path().string());
    }
    std::sort(files.begin(), files.end());
    if (files.empty()) {
      return LocalError("error reading [" + name +
                        "]: recognized file extensions are [.json .yaml .yml]");
    }
    for (const std::string& file : files)
      GANTRY_TRY(AddFile(file, &out));
  }
  return out;
}

Result<Placed> PlaceManifest(const ResourceMap& map, const Manifest& manifest,
                             const std::string& default_ns) {
  const std::string api_version = TextAt(manifest.object, "apiVersion");
  const std::string kind = TextAt(manifest.object, "kind");
  Placed placed;
  placed.name = TextAt(manifest.object, "metadata.name");
  placed.ns = TextAt(manifest.object, "metadata.namespace");
  const Resource* resource = map.FindKind(api_version, kind);
  if (resource == nullptr) {
    return LocalError("resource mapping not found for name: \"" + placed.name + "\" namespace: \"" +
                      placed.ns + "\" from \"" + manifest.source + "\": no matches for kind \"" +
                      kind + "\" in version \"" + api_version +
                      "\"\nensure CRDs are installed first");
  }
  placed.resource = *resource;
  if (placed.ns.empty() && resource->namespaced) placed.ns = default_ns;
  return placed;
}

Status CheckNamespace(const Placed& placed, const std::string& given_ns) {
  if (!placed.resource.namespaced || given_ns.empty() || placed.ns == given_ns) return Status::Ok();
  return LocalError("the namespace from the provided object \"" + placed.ns +
                    "\" does not match the namespace \"" + given_ns +
                    "\". You must pass '--namespace=" + placed.ns + "' to perform this operation.");
}

}  // namespace gantry::cli
