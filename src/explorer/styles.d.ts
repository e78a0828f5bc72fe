/** Stylesheets are for the bundler: it makes one file of them. */
declare module '*.css'
