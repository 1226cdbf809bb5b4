// The words and commands that decide whether what stands beside an answer belongs to it. In each
// list every entry has a space on both sides.
#pragma once

#include <string>
#include <string_view>

namespace temper {

// Whether the word is in such a list.
inline bool is_among(std::string_view word, std::string_view list) {
  return list.find(" " + std::string(word) + " ") != std::string_view::npos;
}

// Commands between statements, and those that change only how a formula looks.
inline constexpr std::string_view kParting =
    " equiv approx cong sim ge geq geqslant le leq leqslant to in implies Rightarrow rightarrow "
    "Longrightarrow longrightarrow iff "
    "Leftrightarrow Longleftrightarrow leadsto quad qquad therefore colon pmod mod bmod end "
    "because "
    "hspace vspace ";
inline constexpr std::string_view kLooks =
    " displaystyle textstyle large Large LARGE huge Huge bf rm left right , ; : ! ";
inline constexpr std::string_view kWrapping =
    " text textbf textit mathbf mathrm bm boldsymbol underline boxed fbox emph mbox ";
inline constexpr std::string_view kTextual = " text textbf textit mbox textrm mathrm hbox ";

// Words behind an answer that make it another one.
inline constexpr std::string_view kJoining = " or squared cubed divided multiplied factorial ";
inline constexpr std::string_view kOperators =
    " plus minus times over ";  // before a number or a formula
inline constexpr std::string_view kVerbs =
    " is are was were would can could cannot must isn aren wasn can't isn't seems looks does doesn "
    "doesn't ";
inline constexpr std::string_view kDenials =
    " not wrong incorrect false never impossible t isn't can't cannot excluded ";

}  // namespace temper
