// What build.mjs turns JSX into.
export { Fragment as F, h } from "preact";
