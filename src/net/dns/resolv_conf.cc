#include "net/dns/resolv_conf.h"

#include <sstream>

namespace gantry::net::dns {

ResolvConf ResolvConf::Parse(std::string_view text) {
  ResolvConf conf;
  std::istringstream lines{std::string(text)};
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line.substr(0, line.find_first_of("#;")));
    std::string keyword, word;
    words >> keyword;
    if (keyword == "nameserver" && words >> word) {
      word = word.substr(0, word.find('%'));
      if (std::optional<IpAddress> ip = IpAddress::Parse(word)) conf.servers.push_back(*ip);
    } else if (keyword == "search" || keyword == "domain") {
      conf.searches.clear();
      while (words >> word) {
        if (word != ".") conf.searches.push_back(word);
      }
    }
  }
  return conf;
}

}  // namespace gantry::net::dns
