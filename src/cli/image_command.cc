#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/env/real/real_env.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/machine_options.h"
#include "node/images/images.h"

namespace gantry::cli {
namespace {

struct ImageOptions {
  std::string data_dir = "/var/lib/gantry";
  std::string argument;
};

// The images of the node in this data directory, with or without a server running on it.
node::Paths PathsOf(const ImageOptions& options) { return node::Paths(options.data_dir + "/node"); }

std::string HumanSize(int64_t bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB", "TB"};
  double size = static_cast<double>(bytes);
  size_t unit = 0;
  for (; size >= 1000 && unit + 1 < std::size(units); ++unit)
    size /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f%s" : "%.1f%s", size, units[unit]);
  return text;
}

Status Import(const ImageOptions& options) {
  node::ImageStore store(PathsOf(options));
  GANTRY_ASSIGN(std::vector<node::ImportedImage> images, store.Import(options.argument));
  for (const node::ImportedImage& image : images) {
    for (const std::string& name : image.names)
      std::printf("Imported %s\n", name.c_str());
    if (image.names.empty()) std::printf("Imported %s\n", image.id.c_str());
  }
  return Status::Ok();
}

Task<> PullInto(Env& env, const node::Paths& paths, node::ImageStore& store, std::string name,
                Result<node::ImportedImage>* image) {
  node::PullSecrets secrets;
  *image = co_await node::PullImage(env, paths, store, std::move(name), std::move(secrets));
}

Status Pull(const ImageOptions& options) {
  RealEnv env;
  const node::Paths paths = PathsOf(options);
  node::ImageStore store(paths);
  Result<node::ImportedImage> image = InternalError("nothing was pulled");
  env.RunToEnd(PullInto(env, paths, store, options.argument, &image));
  GANTRY_TRY(image);
  std::printf("Pulled %s\n",
              image->names.empty() ? image->id.c_str() : image->names.front().c_str());
  return Status::Ok();
}

Status List(const ImageOptions& options) {
  node::ImageStore store(PathsOf(options));
  std::printf("%-60s %-14s %s\n", "IMAGE", "ID", "SIZE");
  for (const node::ImagePtr& image : store.List()) {
    const std::string id = image->id.substr(image->id.find(':') + 1, 12);
    std::vector<std::string> names = image->repo_tags;
    if (names.empty()) names = image->repo_digests;
    if (names.empty()) names.emplace_back("<none>");
    for (const std::string& name : names) {
      std::printf("%-60s %-14s %s\n", name.c_str(), id.c_str(), HumanSize(image->size).c_str());
    }
  }
  return Status::Ok();
}

Status Remove(const ImageOptions& options) {
  node::ImageStore store(PathsOf(options));
  GANTRY_TRY(store.Remove(options.argument));
  std::printf("Removed %s\n", options.argument.c_str());
  return Status::Ok();
}

}  // namespace

void AddImageCommand(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<ImageOptions>();
  CLI::App* family = app.add_subcommand("image", "Images on this machine");
  family->require_subcommand(1);
  struct Row {
    const char* name;
    const char* help;
    const char* argument;  // null: none
    const char* argument_help;
    Status (*run)(const ImageOptions&);
  };
  static constexpr Row kRows[] = {
      {"import", "Add the images of an archive (docker save, OCI layout)", "file",
       "The archive, or the directory of an OCI layout", Import},
      {"pull", "Fetch an image from its registry", "ref", "The image", Pull},
      {"list", "List images", nullptr, nullptr, List},
      {"rm", "Remove an image", "ref", "The image, by name or id", Remove},
  };
  for (const Row& row : kRows) {
    CLI::App* command = family->add_subcommand(row.name, row.help);
    AddTextFlag(*command, "--data-dir", "DIR", &options->data_dir,
                "Data directory of the server or agent");
    if (row.argument)
      command->add_option(row.argument, options->argument, row.argument_help)->required();
    command->callback(
        [options, exit_code, run = row.run] { *exit_code = ExitCodeOf(run(*options)); });
  }
}

}  // namespace gantry::cli
