// What jinja2 rendered, stored by make_*.py; and rendering at its stopped clock.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "regard/chat.h"
#include "regard/error.h"

namespace regard {

using Json = nlohmann::ordered_json;

inline constexpr DateTime kNow{2026, 3, 9, 14, 5, 6};

inline std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline Json golden(const std::string& name) {
  return Json::parse(file_text(std::string(REGARD_CHAT_FOLDER) + "/golden/" + name));
}

// The message of the error that the work throws, which must be one line of the kind.
template <class Work>
std::string error_of(ErrorKind kind, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

inline std::string rendered(const std::string& source, const std::string& variables = "{}") {
  return ChatTemplate(source).render_json(variables, kNow).text;
}

// The text, or nothing where the template or its rendering is refused.
inline std::optional<std::string> rendered_or_refused(const std::string& source,
                                                      const std::string& variables) {
  try {
    return rendered(source, variables);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("line "), std::string::npos) << error.what();
    return std::nullopt;
  }
}

inline std::optional<std::string> wanted_text(const Json& value) {
  if (value.is_null()) return std::nullopt;
  return value.get<std::string>();
}

}  // namespace regard
