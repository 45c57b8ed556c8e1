// What the bundler makes that the compiler cannot see.

declare module "virtual:palette.css";
