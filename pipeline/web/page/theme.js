// Light, dark, or as the system has it; remembered in this browser. Charts are told, since a canvas knows no CSS.

const KEY = "burnline-theme";
const CHOICES = ["auto", "light", "dark"];

export const theme = () => {
  const kept = localStorage.getItem(KEY);
  return CHOICES.includes(kept) ? kept : "auto";
};

function apply() {
  const chosen = theme();
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  dispatchEvent(new Event("themechange"));
}

export function nextTheme() {
  const chosen = CHOICES[(CHOICES.indexOf(theme()) + 1) % CHOICES.length];
  localStorage.setItem(KEY, chosen);
  apply();
  return chosen;
}

/** A token of styles/tokens.css as a colour that a canvas takes. */
export function colour(token, opacity = 1) {
  const probe = document.getElementById("probe");
  probe.style.color =
    opacity === 1 ? `var(--${token})` : `color-mix(in srgb, var(--${token}) ${opacity * 100}%, transparent)`;
  return getComputedStyle(probe).color;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
apply();
