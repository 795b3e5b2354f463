/** Raised whenever a data plane of the version before could misread a snapshot. Negotiated in the hello. */
export const SCHEMA_VERSION = 1;
