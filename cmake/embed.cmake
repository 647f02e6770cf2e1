# cmake -DINPUT=file -DOUTPUT=file.cc -DHEADER=header -DFUNCTION=name -P embed.cmake
# Writes a source file whose function returns the bytes of INPUT as a std::string_view.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REPEAT "0x..," 16 line)
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"${HEADER}\"

namespace {
constexpr unsigned char kBytes[] = {
${bytes}};
}  // namespace

std::string_view ${FUNCTION}() noexcept {
  return {reinterpret_cast<const char*>(kBytes), sizeof kBytes};
}
")
