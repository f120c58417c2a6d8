declare module "*.css" {
  /** The rules, minified. */
  const rules: string;
  export default rules;
}
